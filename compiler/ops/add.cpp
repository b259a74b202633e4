#include "ops/add.h"

#include "ops/definition.h"
#include "ops/elementwise.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return x[0] + x[1]; });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  return {sum_to(call.cotangent, call.inputs[0].shape()), sum_to(call.cotangent, call.inputs[1].shape())};
}

Sample sample(Choices& choices) { return binary_sample(choices, add, -1, 1); }

}  // namespace

const Operator add_operator = {
    .name = "add",
    .documentation = "a + b, element by element with NumPy's broadcasting; a residual connection is one of these.",
    .type = broadcast_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor add(Operand a, Operand b) { return a.tensor.graph().append(add_operator, {a.tensor, b.tensor}, {}, a.location); }

}  // namespace kiln
