#include "ops/square.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return x[0] * x[0]; });
}

std::vector<Tensor> gradient(const GradientCall& call) { return {2.0 * call.cotangent * call.inputs[0]}; }

Sample sample(Choices& choices) { return unary_sample(choices, square, -1, 1); }

}  // namespace

const Operator square_operator = {
    .name = "square",
    .documentation = "x * x, element by element.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor square(Operand x) { return x.tensor.graph().append(square_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
