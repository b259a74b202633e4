#include "ops/stop_gradient.h"

#include "ops/definition.h"
#include "ops/elementwise.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return x[0]; });
}

Sample sample(Choices& choices) {
  Sample sample = unary_sample(choices, stop_gradient, -1, 1);
  sample.differentiable = false;
  return sample;
}

}  // namespace

const Operator stop_gradient_operator = {
    .name = "stop_gradient",
    .documentation = "x itself, through which no gradient flows (Keras ops.stop_gradient).",
    .type = same_type,
    .define = define,
    .sample = sample,
};

Tensor stop_gradient(Operand x) { return x.tensor.graph().append(stop_gradient_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
