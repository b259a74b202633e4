#include "passes/simplify.h"

#include <algorithm>
#include <set>

#include "lower/affine.h"
#include "ops/constant.h"
#include "ops/contraction.h"
#include "ops/input.h"
#include "ops/multiply.h"
#include "ops/negate.h"
#include "ops/pad.h"
#include "ops/parameter.h"
#include "ops/reduce_sum.h"
#include "passes/rewrite.h"

namespace kiln {
namespace {

bool is_constant(Tensor x, double value) {
  return x.node().op == &constant_operator && std::get<double>(x.node().attributes.at("value")) == value;
}

/// Positions outside an operand count as zero, so that padding is only an offset.
Tensor fold_padding(Graph& graph, const Node& node, std::vector<Tensor> inputs) {
  Contraction c = std::get<Contraction>(node.attributes.at("specification"));
  bool changed = false;
  for (int side = 0; side < 2; ++side) {
    const Node& operand = inputs[side].node();
    if (operand.op != &pad_operator) continue;
    const auto& before = std::get<std::vector<int64_t>>(operand.attributes.at("before"));
    std::vector<AffineIndex>& indices = side == 0 ? c.left : c.right;
    if (std::any_of(indices.begin(), indices.end(), [](const AffineIndex& i) { return i.divisor != 1; })) continue;
    // Recipes take it for granted that a dimension which one loop counts is as long as that loop: padded features or
    // channels stay a tensor.
    const auto& after = std::get<std::vector<int64_t>>(operand.attributes.at("after"));
    bool windowed = true;
    for (size_t d = 0; d < indices.size(); ++d)
      windowed &= before[d] + after[d] == 0 || loops_in(indices[d]).size() > 1;
    if (!windowed) continue;
    for (size_t d = 0; d < indices.size(); ++d) indices[d].offset -= before[d];
    inputs[side] = Tensor(&graph, operand.inputs[0]);
    changed = true;
  }
  return changed ? contraction(inputs[0], inputs[1], c) : Tensor{};
}

/// True where x is the same for all positions that a sum over `axes` of a tensor of `shape` adds up.
bool constant_along(Tensor x, const Shape& shape, const std::vector<int64_t>& axes) {
  const size_t missing = shape.size() - x.shape().size();
  return std::all_of(axes.begin(), axes.end(), [&](int64_t axis) {
    return static_cast<size_t>(axis) < missing || x.shape()[axis - missing] == 1;
  });
}

/// sum(-x) = -sum(x); sum(a * b) = sum(a) * b where b does not vary along the sum.
Tensor hoist_from_sum(Graph& graph, const Node& node, Tensor x) {
  const Node& inner = x.node();
  const auto& axes = std::get<std::vector<int64_t>>(node.attributes.at("axes"));
  if (inner.op == &negate_operator) return negate(reduce_sum(Tensor(&graph, inner.inputs[0]), {.axes = axes}));
  if (inner.op == &multiply_operator) {
    for (int side = 0; side < 2; ++side) {
      const Tensor varying(&graph, inner.inputs[side]), fixed(&graph, inner.inputs[1 - side]);
      if (varying.shape() != x.shape() || !constant_along(fixed, x.shape(), axes)) continue;
      const Tensor result = reduce_sum(varying, {.axes = axes}) * fixed;
      if (result.shape() == node.type.shape) return result;
    }
  }
  return {};
}

/// One node for equal operators, inputs and attributes. Sources are what they are.
class CommonNodes {
 public:
  Tensor unique(Graph& graph, Tensor value) {
    const Node& node = value.node();
    if (node.op == &input_operator || node.op == &parameter_operator) return value;
    for (NodeId other : by_operator_[node.op]) {
      const Node& candidate = graph.node(other);
      if (candidate.inputs == node.inputs && candidate.attributes == node.attributes) return {&graph, other};
    }
    by_operator_[node.op].push_back(node.id);
    return value;
  }

 private:
  std::map<const Operator*, std::vector<NodeId>> by_operator_;
};

Graph simplify_once(const Graph& graph, bool& changed) {
  CommonNodes common;
  Graph result = rewrite(graph, [&](Graph& next, const Node& node, const std::vector<Tensor>& inputs) {
    Tensor value;
    if (node.op == &contraction_operator) value = fold_padding(next, node, inputs);
    if (node.op == &reduce_sum_operator) value = hoist_from_sum(next, node, inputs[0]);
    if (node.op == &multiply_operator) {
      for (int side = 0; side < 2; ++side) {
        if (is_constant(inputs[1 - side], 1) && inputs[side].shape() == node.type.shape) value = inputs[side];
      }
    }
    if (value)
      changed = true;
    else
      value = copy_node(next, node, inputs);
    const Tensor unique = common.unique(next, value);
    if (unique.id() != value.id()) changed = true;
    return unique;
  });
  return without_dead_nodes(result);
}

}  // namespace

Graph simplify(const Graph& graph) {
  Graph result = graph;
  bool changed = true;
  while (changed) {
    changed = false;
    result = simplify_once(result, changed);
  }
  return result;
}

void verify(const Graph& graph) {
  const auto fail = [&](const Node& node, const std::string& message) {
    throw InternalError(fmt::format("{}:{}: node {} ({}): {}", node.location.file, node.location.line, node.id,
                                    node.op->name, message));
  };
  for (const Node& node : graph.nodes) {
    if (node.op == nullptr) throw InternalError(fmt::format("node {} has no operator", node.id));
    if (&graph.node(node.id) != &node) fail(node, "is not at its own index");
    for (NodeId input : node.inputs) {
      if (input < 0 || input >= node.id) fail(node, fmt::format("reads node {}, which does not come before it", input));
    }
    const Type type = node.op->type(graph.call(node));
    if (!(type == node.type))
      fail(node, fmt::format("has type {}, its rule says {}", to_string(node.type.shape), to_string(type.shape)));
  }
  const auto exists = [&](NodeId id) {
    if (id < 0 || id >= static_cast<NodeId>(graph.nodes.size()))
      throw InternalError(fmt::format("{}: node {} is named but does not exist", graph.name, id));
  };
  for (const Output& output : graph.outputs) exists(output.node);
  for (const Output& metric : graph.metrics) exists(metric.node);
  if (graph.loss) exists(*graph.loss);
  std::set<NodeId> updated;
  for (const Update& update : graph.updates) {
    exists(update.parameter);
    exists(update.value);
    if (graph.node(update.parameter).op != &parameter_operator)
      fail(graph.node(update.parameter), "is updated but no parameter");
    if (graph.node(update.parameter).type != graph.node(update.value).type)
      fail(graph.node(update.value), "updates a parameter of another type");
    if (!updated.insert(update.parameter).second) fail(graph.node(update.parameter), "is updated twice");
  }
}

}  // namespace kiln
