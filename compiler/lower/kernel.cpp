#include "lower/kernel.h"

#include <algorithm>

#include "lower/affine.h"
#include "lower/bf16.h"
#include "ops/scalar.h"

namespace kiln {

using Halide::Expr;

namespace {

Halide::Type stored_type(ElementType element) {
  switch (element) {
    case ElementType::bf16:
      return Halide::BFloat(16);
    case ElementType::int32:
      return Halide::Int(32);
    default:
      return Halide::Float(32);
  }
}

}  // namespace

/// Reads the operands of one node inside a kernel.
class ExpressionOperands : public Operands {
 public:
  ExpressionOperands(KernelExpressions& expressions, const Node& node) : expressions_(expressions), node_(node) {}

  Expr read(int operand, const Index& index) const override {
    return expressions_.value(node_.inputs.at(operand), index);
  }
  const Shape& shape(int operand) const override { return expressions_.node(node_.inputs.at(operand)).type.shape; }
  Halide::Type real() const override { return Halide::Float(32); }
  Expr count() const override { return expressions_.count_; }
  int64_t batch() const override { return expressions_.program_.lanes; }

 private:
  KernelExpressions& expressions_;
  const Node& node_;
};

KernelExpressions::KernelExpressions(const Program& program, const Kernel& kernel)
    : program_(program), kernel_(kernel) {
  for (NodeId leaf : kernel.leaves) {
    const Node& node = this->node(leaf);
    if (is_source(node) && node.type.shape.empty() && node.op == &scalar_operator) continue;
    const auto extents = storage_extents(node.type.shape, program.lanes);
    Halide::ImageParam image(stored_type(node.type.element), static_cast<int>(extents.size()),
                             fmt::format("b{}", leaf));
    int stride = 1;
    for (size_t d = 0; d < extents.size(); ++d) {
      image.dim(static_cast<int>(d)).set_bounds(0, extents[d]).set_stride(stride);
      stride *= extents[d];
    }
    image.set_host_alignment(64);
    images_.emplace(leaf, image);
  }
}

void KernelExpressions::bind(NodeId id, std::function<Expr(const Index&)> read) { bound_[id] = std::move(read); }

const Definition& KernelExpressions::definition(NodeId id) {
  auto found = definitions_.find(id);
  if (found == definitions_.end()) {
    const Node& node = this->node(id);
    found = definitions_.emplace(id, node.op->define(program_.graph.call(node))).first;
  }
  return found->second;
}

Expr KernelExpressions::value(NodeId id, const Index& at) {
  if (const auto bound = bound_.find(id); bound != bound_.end()) return bound->second(at);
  const Node& node = this->node(id);
  if (const auto image = images_.find(id); image != images_.end()) {
    const Expr element = image->second(storage_order(at, has_batch(node.type.shape)));
    return node.type.element == ElementType::bf16 ? from_bf16(element) : element;
  }
  if (node.op == &scalar_operator) {
    const auto& name = std::get<std::string>(node.attributes.at("name"));
    if (name == "count") return Halide::cast<float>(count_);
    if (name == "label_smoothing") return label_smoothing_;
    return name == "step" ? Expr(step_) : name == "seed" ? Expr(seed_) : Expr(learning_rate_);
  }
  std::pair<NodeId, std::vector<const void*>> key{id, {}};
  for (const Expr& e : at) key.second.push_back(e.get());
  if (const auto built = built_.find(key); built != built_.end()) return built->second.first;

  const Definition& rule = definition(id);
  if (rule.contraction) throw InternalError("a contraction is no expression: " + kernel_.name);
  const ExpressionOperands operands(*this, node);
  Expr result;
  if (rule.fold == Fold::none) {
    result = rule.value(operands, at, {});
  } else {  // a small window, unrolled
    Index r(rule.extents.size(), Expr(0));
    for (int64_t i = 0; i < element_count(rule.extents); ++i) {
      int64_t rest = i;
      for (size_t d = r.size(); d-- > 0;) {
        r[d] = Expr(static_cast<int>(rest % rule.extents[d]));
        rest /= rule.extents[d];
      }
      const Expr element = rule.value(operands, at, r);
      result = i == 0 ? element : combine(rule.fold, result, element);
    }
  }
  if (node.type.element == ElementType::bf16) result = rounded_to_bf16(result);
  built_.emplace(std::move(key), std::pair{result, at});  // `at` keeps the pointers of the key alive
  return result;
}

Expr KernelExpressions::folded(NodeId id, const Index& at, const Index& r) {
  const Definition& rule = definition(id);
  const Expr value = rule.value(ExpressionOperands(*this, node(id)), at, r);
  const auto used = [&](const Expr& position) {
    const auto* variable = position.as<Halide::Internal::Variable>();
    return variable == nullptr || Halide::Internal::expr_uses_var(value, variable->name);
  };
  if (std::any_of(r.begin(), r.end(), used)) return value;
  // What is the same everywhere in the domain, a stretched value, must still be folded as often as the domain says.
  return Halide::select(r.at(0) >= 0, value, identity(rule.fold, value.type()));
}

std::vector<Halide::Argument> KernelExpressions::arguments() const {
  std::vector<Halide::Argument> arguments = {learning_rate_, step_, seed_, count_, label_smoothing_};
  for (NodeId leaf : kernel_.leaves) {
    if (const auto image = images_.find(leaf); image != images_.end()) arguments.emplace_back(image->second);
  }
  return arguments;
}

Expr combine(Fold fold, const Expr& a, const Expr& b) {
  switch (fold) {
    case Fold::max:
      return Halide::max(a, b);
    case Fold::min:
      return Halide::min(a, b);
    default:
      return a + b;
  }
}

Expr identity(Fold fold, Halide::Type type) {
  switch (fold) {
    case Fold::max:
      return type.is_float() ? Halide::Internal::make_const(type, kLowest) : type.min();
    case Fold::min:
      return type.is_float() ? Halide::Internal::make_const(type, -kLowest) : type.max();
    default:
      return Halide::cast(type, 0);
  }
}

}  // namespace kiln
