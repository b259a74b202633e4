#include "lower/reference.h"

#include "lower/affine.h"
#include "lower/bf16.h"
#include "lower/kernel.h"
#include "ops/input.h"
#include "ops/parameter.h"
#include "ops/scalar.h"

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::Var;

struct Reference::Parts {
  const Graph graph;
  std::vector<NodeId> results;
  int64_t batch;
  std::map<NodeId, Halide::ImageParam> sources;
  std::vector<Func> funcs;
  Halide::Param<int> count{"count"}, seed{"seed"}, step{"step"};
  Halide::Param<double> learning_rate{"learning_rate"}, label_smoothing{"label_smoothing"};
  Halide::Pipeline pipeline;
};

namespace {

/// Reads operands from the functions of earlier nodes.
class FuncOperands : public Operands {
 public:
  FuncOperands(const Graph& graph, const Node& node, const std::vector<Func>& funcs, Expr count, int64_t batch)
      : graph_(graph), node_(node), funcs_(funcs), count_(std::move(count)), batch_(batch) {}

  Expr read(int operand, const Index& index) const override {
    const NodeId id = node_.inputs.at(operand);
    return funcs_[id](storage_order(index, has_batch(graph_.node(id).type.shape)));
  }
  const Shape& shape(int operand) const override { return graph_.node(node_.inputs.at(operand)).type.shape; }
  Halide::Type real() const override { return Halide::Float(64); }
  Expr count() const override { return count_; }
  int64_t batch() const override { return batch_; }

 private:
  const Graph& graph_;
  const Node& node_;
  const std::vector<Func>& funcs_;
  Expr count_;
  int64_t batch_;
};

Func define(const Graph& graph, const Node& node, const std::vector<Func>& funcs, const Expr& count, int64_t batch,
            bool rounded) {
  const Shape shape = node.type.shape;
  Index at;
  std::vector<Var> vars;
  for (size_t i = 0; i < shape.size(); ++i) {
    vars.emplace_back("d" + std::to_string(i));
    at.emplace_back(vars.back());
  }
  const Index arguments = storage_order(at, has_batch(shape));
  std::vector<Var> order;
  for (const Expr& argument : arguments) order.emplace_back(argument.as<Halide::Internal::Variable>()->name);

  Func f(fmt::format("{}_{}", node.op->name, node.id));
  const FuncOperands operands(graph, node, funcs, count, batch);
  const Definition definition = node.op->define(graph.call(node));

  const auto domain = [&](const Shape& extents) {
    std::vector<Halide::Range> ranges;
    for (int64_t extent : extents) ranges.emplace_back(0, static_cast<int>(extent == kBatch ? batch : extent));
    return Halide::RDom(ranges);
  };
  if (definition.contraction) {
    const Contraction& c = *definition.contraction;
    f(order) = Expr(0.0);
    const Halide::RDom r = domain(Shape(c.extents.begin() + c.output_rank, c.extents.end()));
    Index loops = at;
    for (int i = 0; i < r.dimensions(); ++i) loops.emplace_back(r[i]);
    const auto read = [&](int operand, const std::vector<AffineIndex>& indices) {
      AffineRead read = affine_read(c, indices, operands.shape(operand), loops);
      if (!read.inside.defined()) return operands.read(operand, read.position);
      Shape extents = with_batch(operands.shape(operand), batch);
      for (size_t i = 0; i < extents.size(); ++i) {
        // unlike in scheduled code the guard is a value here, so the position must really be clamped
        const auto* promise =
            Halide::Internal::Call::as_intrinsic(read.position[i], {Halide::Internal::Call::unsafe_promise_clamped});
        if (promise) read.position[i] = Halide::clamp(promise->args[0], 0, static_cast<int>(extents[i]) - 1);
      }
      return Halide::select(read.inside, operands.read(operand, read.position), Expr(0.0));
    };
    const auto factor = [&](int operand, const std::vector<AffineIndex>& indices) {
      const Expr value = read(operand, indices);
      return rounded ? rounded_to_bf16(value) : value;
    };
    f(order) += factor(0, c.left) * factor(1, c.right);
  } else if (definition.fold == Fold::none) {
    const Expr value = definition.value(operands, at, {});
    f(order) = node.type.element == ElementType::bf16 ? rounded_to_bf16(value) : value;
  } else {
    f(order) = identity(definition.fold, Halide::Float(64));
    Halide::RDom r = domain(definition.extents);
    Index reduction;
    for (int i = 0; i < r.dimensions(); ++i) reduction.emplace_back(r[i]);
    for (size_t i = 0; i < definition.extents.size(); ++i) {
      if (definition.extents[i] == kBatch) r.where(r[static_cast<int>(i)] < count);
    }
    f(order) = combine(definition.fold, f(order), definition.value(operands, at, reduction));
  }
  return f;
}

/// Calls visit(storage offset) for the elements of `shape` in the user's row-major order.
template <class Visit>
void for_each_element(const Shape& shape, int64_t batch, Visit visit) {
  const int64_t rows = has_batch(shape) ? batch : 1;
  const int64_t per_row = element_count(shape, 1);
  for (int64_t n = 0; n < rows; ++n) {
    for (int64_t i = 0; i < per_row; ++i) visit(i * rows + n);
  }
}

}  // namespace

Reference::Reference(const Graph& graph, std::vector<NodeId> results, int64_t batch, const std::set<NodeId>& rounded,
                     const std::vector<NodeId>& adjoints_of)
    : parts_(new Parts{graph, std::move(results), batch, {}, {}, {}, {}, {}, {}, {}, {}}) {
  Parts& p = *parts_;
  std::vector<bool> live(p.graph.nodes.size(), false);
  for (NodeId id : p.results) live[id] = true;
  for (NodeId id = static_cast<NodeId>(p.graph.nodes.size()) - 1; id >= 0; --id) {
    if (!live[id]) continue;
    for (NodeId input : p.graph.node(id).inputs) live[input] = true;
  }
  p.funcs.resize(p.graph.nodes.size());
  for (const Node& node : p.graph.nodes) {
    if (!live[node.id]) continue;
    Func& f = p.funcs[node.id];
    if (node.op == &scalar_operator) {
      const auto& name = std::get<std::string>(node.attributes.at("name"));
      f = Func(name + "_value");
      f() = name == "count"             ? Halide::cast<double>(p.count)
            : name == "step"            ? Expr(p.step)
            : name == "seed"            ? Expr(p.seed)
            : name == "label_smoothing" ? Expr(p.label_smoothing)
                                        : Expr(p.learning_rate);
    } else if (is_source(node)) {
      const auto extents = storage_extents(node.type.shape, batch);
      const Halide::Type element = node.type.element == ElementType::int32 ? Halide::Int(32) : Halide::Float(64);
      Halide::ImageParam image(element, static_cast<int>(extents.size()), fmt::format("source_{}", node.id));
      p.sources.emplace(node.id, image);
      f = image;
      continue;
    } else {
      f = define(p.graph, node, p.funcs, Expr(p.count), batch, rounded.count(node.id) > 0);
    }
    f.compute_root();
    const auto extents = storage_extents(node.type.shape, batch);
    for (size_t i = 0; i < extents.size(); ++i) f.bound(f.args()[i], 0, extents[i]);
  }
  std::vector<Func> outputs;
  const auto add_output = [&](Func& f, NodeId shaped_like) {
    Func copy(fmt::format("result_{}", outputs.size()));
    copy(f.args()) = f(f.args());
    const auto extents = storage_extents(p.graph.node(shaped_like).type.shape, batch);
    for (size_t i = 0; i < extents.size(); ++i) copy.bound(copy.args()[i], 0, extents[i]);
    outputs.push_back(copy);
  };
  for (NodeId id : p.results) add_output(p.funcs[id], id);
  if (!adjoints_of.empty()) {
    const Halide::Derivative derivative = Halide::propagate_adjoints(p.funcs[p.results.at(0)]);
    for (NodeId id : adjoints_of) {
      Func adjoint = derivative(p.funcs[id]);
      if (!adjoint.defined()) throw InternalError(fmt::format("reference: Halide has no derivative for node {}", id));
      add_output(adjoint, id);
      p.results.push_back(id);
    }
  }
  p.pipeline = Halide::Pipeline(outputs);
}

Reference::~Reference() = default;
Reference::Reference(Reference&&) noexcept = default;

std::vector<std::vector<double>> Reference::run(const std::map<NodeId, std::vector<double>>& values,
                                                const ReferenceOptions& options) const {
  Parts& p = *parts_;
  p.count.set(static_cast<int>(options.count));
  p.seed.set(options.seed);
  p.step.set(options.step);
  p.learning_rate.set(options.learning_rate);
  p.label_smoothing.set(options.label_smoothing);
  for (auto& [id, image] : p.sources) {
    const Node& node = p.graph.node(id);
    const auto given = values.find(id);
    if (given == values.end()) throw InternalError(fmt::format("reference: no value for node {}", id));
    const auto extents = storage_extents(node.type.shape, p.batch);
    if (static_cast<int64_t>(given->second.size()) != element_count(node.type.shape, p.batch)) {
      throw InternalError(
          fmt::format("reference: {} values for node {} of {}", given->second.size(), id, to_string(node.type.shape)));
    }
    size_t next = 0;
    if (node.type.element != ElementType::int32) {
      Halide::Buffer<double> buffer(extents);
      for_each_element(node.type.shape, p.batch,
                       [&](int64_t offset) { buffer.data()[offset] = given->second[next++]; });
      image.set(buffer);
    } else {
      Halide::Buffer<int32_t> buffer(extents);
      for_each_element(node.type.shape, p.batch,
                       [&](int64_t offset) { buffer.data()[offset] = static_cast<int32_t>(given->second[next++]); });
      image.set(buffer);
    }
  }
  std::vector<Halide::Buffer<>> buffers;
  for (NodeId id : p.results)
    buffers.emplace_back(Halide::Float(64), storage_extents(p.graph.node(id).type.shape, p.batch));
  p.pipeline.realize(Halide::Realization(buffers));
  std::vector<std::vector<double>> results;
  for (size_t i = 0; i < p.results.size(); ++i) {
    const auto* data = static_cast<const double*>(buffers[i].data());
    std::vector<double>& result = results.emplace_back();
    for_each_element(p.graph.node(p.results[i]).type.shape, p.batch,
                     [&](int64_t offset) { result.push_back(data[offset]); });
  }
  return results;
}

}  // namespace kiln
