#include "passes/hoist_parameters.h"

#include <algorithm>
#include <map>
#include <optional>

#include "ops/add.h"
#include "ops/contraction.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/negate.h"
#include "ops/parameter.h"
#include "ops/reshape.h"
#include "ops/subtract.h"
#include "passes/rewrite.h"

namespace kiln {
namespace {

/// An operator of two operands of which one depends on parameters only.
struct Mixed {
  int varying, fixed;  // which operand
};

/// Combining two parameters must not make a larger tensor of them than they are (a vector of rows and one of columns).
bool stays_small(Tensor result, Tensor a, Tensor b) {
  return element_count(result.shape()) <= std::max(element_count(a.shape()), element_count(b.shape()));
}

class Hoister {
 public:
  explicit Hoister(const Graph& graph) : graph_(graph), uses_(graph.nodes.size(), 0) {
    for (const Node& node : graph.nodes) {
      for (NodeId input : node.inputs) ++uses_[input];
    }
    for (const auto* list : {&graph.outputs, &graph.metrics}) {
      for (const Output& output : *list) ++uses_[output.node];
    }
    if (graph.loss) ++uses_[*graph.loss];
  }

  Tensor rule(Graph& next, const Node& node, const std::vector<Tensor>& inputs) {
    const auto operands = mixed(graph_, node);
    if (!operands) {
      if (is_fixed(graph_, node.id)) next.scope->role = Role::prepare;
      return copy_node(next, node, inputs);
    }
    const Tensor x = inputs[operands->varying], p = inputs[operands->fixed];
    Tensor result;
    if (node.op == &multiply_operator) {
      may_scale_weights_ = contraction_is_ours(node.inputs[operands->varying]);
      result = scaled(x, p);
    } else if (node.op == &add_operator) {
      result = shifted(x, p);
    } else if (operands->fixed == 1) {
      result = shifted(x, prepared(next, [&] { return negate(p); }));
    }
    return result && result.shape() == node.type.shape ? result : copy_node(next, node, inputs);
  }

 private:
  /// Depends on parameters and constants only.
  bool is_fixed(const Graph& graph, NodeId id) const {
    std::vector<bool>& known = fixed_[&graph];
    for (auto next = static_cast<NodeId>(known.size()); next <= id; ++next) {
      const Node& node = graph.node(next);
      known.push_back(node.inputs.empty() ? node.op == &parameter_operator || !is_source(node)
                                          : std::all_of(node.inputs.begin(), node.inputs.end(),
                                                        [&](NodeId input) -> bool { return known[input]; }));
    }
    return known[id];
  }

  std::optional<Mixed> mixed(const Graph& graph, const Node& node) const {
    if (node.op != &add_operator && node.op != &subtract_operator && node.op != &multiply_operator) return {};
    const bool left = is_fixed(graph, node.inputs[0]), right = is_fixed(graph, node.inputs[1]);
    if (left == right) return {};
    return left ? Mixed{1, 0} : Mixed{0, 1};
  }

  /// x + p.
  Tensor shifted(Tensor x, Tensor p) const {
    if (const auto inner = mixed(x.graph(), x.node()); inner && x.node().op == &add_operator) {
      const Tensor q = operand(x, inner->fixed), sum = prepared(x.graph(), [&] { return q + p; });
      if (stays_small(sum, q, p)) return operand(x, inner->varying) + sum;
    }
    return x + p;
  }

  /// x * s.
  Tensor scaled(Tensor x, Tensor s) const {
    if (const auto inner = mixed(x.graph(), x.node())) {
      const Tensor q = operand(x, inner->fixed), product = prepared(x.graph(), [&] { return q * s; });
      if (stays_small(product, q, s)) {
        if (x.node().op == &multiply_operator) return operand(x, inner->varying) * product;
        if (x.node().op == &add_operator) return shifted(scaled(operand(x, inner->varying), s), product);
      }
    }
    if (x.node().op == &contraction_operator && may_scale_weights_) {
      if (const Tensor result = with_scaled_weights(x, s)) return result;
    }
    return x * s;
  }

  /// The contraction with its weights times s, which varies along the last dimension (the features) only; empty where
  /// that is not so.
  Tensor with_scaled_weights(Tensor x, Tensor s) const {
    const Contraction& c = std::get<Contraction>(x.node().attributes.at("specification"));
    const size_t feature = static_cast<size_t>(c.output_rank) - 1;
    if (s.shape().empty() || s.shape().back() != c.extents[feature] || element_count(s.shape()) != s.shape().back())
      return {};
    const int side = is_fixed(x.graph(), x.node().inputs[0]) ? 0 : 1;
    const Tensor weights = operand(x, side);
    if (!is_fixed(x.graph(), weights.id())) return {};
    const auto uses_feature = [&](const AffineIndex& index) { return index.coefficients[feature] != 0; };
    const std::vector<AffineIndex>&own = side == 0 ? c.left : c.right, &other = side == 0 ? c.right : c.left;
    if (std::any_of(other.begin(), other.end(), uses_feature)) return {};
    if (std::count_if(own.begin(), own.end(), uses_feature) != 1) return {};
    const auto at = std::find_if(own.begin(), own.end(), uses_feature);
    const size_t dimension = static_cast<size_t>(at - own.begin());
    if (weights.shape()[dimension] != c.extents[feature] || at->offset != 0 || at->divisor != 1) return {};
    Shape along(weights.shape().size(), 1);
    along[dimension] = c.extents[feature];
    Graph& next = x.graph();
    const Graph::Scope scope = *next.scope;
    next.scope = Graph::Scope{x.node().location, x.node().layer, x.node().role};
    const Tensor product = prepared(next, [&] { return weights * reshape(s, along); });
    const Tensor result = side == 0 ? contraction(product, operand(x, 1), c) : contraction(operand(x, 0), product, c);
    next.scope = scope;
    return result;
  }

  static Tensor operand(Tensor x, int i) { return {&x.graph(), x.node().inputs[static_cast<size_t>(i)]}; }

  /// Nobody but this chain of arithmetic with parameters wants the contraction below it.
  bool contraction_is_ours(NodeId id) const {
    while (uses_[id] == 1) {
      const Node& node = graph_.node(id);
      if (node.op == &contraction_operator) return true;
      const auto operands = mixed(graph_, node);
      if (!operands) return false;
      id = node.inputs[operands->varying];
    }
    return false;
  }

  const Graph& graph_;
  std::vector<int> uses_;
  bool may_scale_weights_ = false;
  mutable std::map<const Graph*, std::vector<bool>> fixed_;  // of each node so far, which stay as they are
};

}  // namespace

Graph hoist_parameters(const Graph& graph) {
  Hoister hoister(graph);
  return without_dead_nodes(rewrite(graph, [&](Graph& next, const Node& node, const std::vector<Tensor>& inputs) {
    return hoister.rule(next, node, inputs);
  }));
}

}  // namespace kiln
