#include "ops/divide.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/negate.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(
      call, [](const Operands&, const auto& x) { return x[0] / x[1]; }, 6);
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const Tensor a = call.cotangent / call.inputs[1];
  return {sum_to(a, call.inputs[0].shape()), sum_to(negate(a * call.output), call.inputs[1].shape())};
}

Sample sample(Choices& choices) { return binary_sample(choices, divide, 0.5, 2); }

}  // namespace

const Operator divide_operator = {
    .name = "divide",
    .documentation = "a / b, element by element with NumPy's broadcasting.",
    .type = broadcast_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor divide(Operand a, Operand b) {
  return a.tensor.graph().append(divide_operator, {a.tensor, b.tensor}, {}, a.location);
}

}  // namespace kiln
