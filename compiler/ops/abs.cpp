#include "ops/abs.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/negate.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return Halide::abs(x[0]); });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const Tensor x = call.inputs[0], zero = call.graph.constant(0);
  return {where_positive(x, call.cotangent, where_positive(negate(x), negate(call.cotangent), zero))};
}

Sample sample(Choices& choices) { return unary_sample(choices, abs, -1, 1, {0}); }

}  // namespace

const Operator abs_operator = {
    .name = "abs",
    .documentation = "|x|, element by element; the gradient at 0 is 0 (NumPy, Keras, PyTorch).",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor abs(Operand x) { return x.tensor.graph().append(abs_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
