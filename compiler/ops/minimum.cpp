#include "ops/minimum.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/subtract.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return Halide::min(x[0], x[1]); });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const Tensor zero = call.graph.constant(0), difference = call.inputs[1] - call.inputs[0];
  return {sum_to(where_positive(difference, call.cotangent, zero), call.inputs[0].shape()),
          sum_to(where_positive(difference, zero, call.cotangent), call.inputs[1].shape())};
}

Sample sample(Choices& choices) {
  Sample sample = binary_sample(choices, minimum, -1, 1);
  sample.distinct = true;
  return sample;
}

}  // namespace

const Operator minimum_operator = {
    .name = "minimum",
    .documentation =
        "The smaller of a and b, element by element with NumPy's broadcasting; where they are equal the gradient goes "
        "to b.",
    .type = broadcast_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor minimum(Operand a, Operand b) {
  return a.tensor.graph().append(minimum_operator, {a.tensor, b.tensor}, {}, a.location);
}

}  // namespace kiln
