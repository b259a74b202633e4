#include "ops/multiply.h"

#include "ops/definition.h"
#include "ops/elementwise.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return x[0] * x[1]; });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  return {sum_to(call.cotangent * call.inputs[1], call.inputs[0].shape()),
          sum_to(call.cotangent * call.inputs[0], call.inputs[1].shape())};
}

Sample sample(Choices& choices) { return binary_sample(choices, multiply, -1, 1); }

}  // namespace

const Operator multiply_operator = {
    .name = "multiply",
    .documentation = "a * b, element by element with NumPy's broadcasting.",
    .type = broadcast_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor multiply(Operand a, Operand b) {
  return a.tensor.graph().append(multiply_operator, {a.tensor, b.tensor}, {}, a.location);
}

}  // namespace kiln
