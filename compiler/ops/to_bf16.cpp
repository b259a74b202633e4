#include "ops/to_bf16.h"

#include "ops/definition.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  if (call.inputs[0].element != ElementType::real) call.fail("the input must be real");
  return {call.shape(0), ElementType::bf16};
}

/// The type's rounding is all there is.
Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const std::vector<Halide::Expr>& x) { return x[0]; });
}

Sample sample(Choices& choices) {
  return {.inputs = {{choices.shape(choices.integer(1, 4), true)}},
          .build = [](const std::vector<Tensor>& in) { return to_bf16(in[0]); },
          .differentiable = false};
}

}  // namespace

const Operator to_bf16_operator = {
    .name = "to_bf16",
    .documentation =
        "Real numbers rounded to the nearest of 8 significant bits (bfloat16), of two equally near to the smaller in "
        "magnitude, and kept in half of their memory.",
    .type = type,
    .define = define,
    .sample = sample,
};

Tensor to_bf16(Operand x) { return x.tensor.graph().append(to_bf16_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
