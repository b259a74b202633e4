#include "ops/definition.h"

namespace kiln {

using Halide::Expr;

Expr Operands::broadcast(int operand, const Index& at) const {
  const Shape& extents = shape(operand);
  Index index(extents.size());
  for (size_t i = 0; i < extents.size(); ++i) {
    index[i] = extents[i] == 1 ? Expr(0) : at[at.size() - extents.size() + i];
  }
  return read(operand, index);
}

Expr Operands::read_or(int operand, const Index& index, Expr outside) const {
  const Shape extents = with_batch(shape(operand), batch());
  Expr inside = Halide::Internal::const_true();
  Index clamped(index.size());
  for (size_t i = 0; i < index.size(); ++i) {
    const int last = static_cast<int>(extents[i]) - 1;
    if (has_batch(shape(operand)) && i == 0) {  // rows are never shifted
      clamped[i] = index[i];
      continue;
    }
    inside = inside && index[i] >= 0 && index[i] <= last;
    clamped[i] = Halide::clamp(index[i], 0, last);
  }
  return Halide::select(inside, read(operand, clamped), std::move(outside));
}

Definition map(MapRule rule, int cost) {
  Definition definition;
  definition.value = [rule = std::move(rule)](const Operands& in, const Index& at, const Index&) {
    return rule(in, at);
  };
  definition.cost = cost;
  return definition;
}

Definition gathering(Definition definition, std::vector<int> operands) {
  definition.gathered = std::move(operands);
  return definition;
}

Definition pointwise(const Call& call, PointwiseRule rule, int cost) {
  const int count = static_cast<int>(call.inputs.size());
  return map(
      [count, rule = std::move(rule)](const Operands& in, const Index& at) {
        std::vector<Expr> values;
        for (int i = 0; i < count; ++i) values.push_back(in.broadcast(i, at));
        return rule(in, values);
      },
      cost);
}

Definition fold(Fold fold, Shape extents, FoldRule rule) {
  Definition definition;
  definition.fold = fold;
  definition.extents = std::move(extents);
  definition.value = std::move(rule);
  return definition;
}

Definition contract(Contraction contraction) {
  Definition definition;
  definition.contraction = std::move(contraction);
  return definition;
}

}  // namespace kiln
