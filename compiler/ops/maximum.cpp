#include "ops/maximum.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/subtract.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return Halide::max(x[0], x[1]); });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const Tensor zero = call.graph.constant(0), difference = call.inputs[0] - call.inputs[1];
  return {sum_to(where_positive(difference, call.cotangent, zero), call.inputs[0].shape()),
          sum_to(where_positive(difference, zero, call.cotangent), call.inputs[1].shape())};
}

Sample sample(Choices& choices) {
  Sample sample = binary_sample(choices, maximum, -1, 1);
  sample.distinct = true;
  return sample;
}

}  // namespace

const Operator maximum_operator = {
    .name = "maximum",
    .documentation =
        "The larger of a and b, element by element with NumPy's broadcasting; where they are equal the gradient goes "
        "to b.",
    .type = broadcast_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor maximum(Operand a, Operand b) {
  return a.tensor.graph().append(maximum_operator, {a.tensor, b.tensor}, {}, a.location);
}

}  // namespace kiln
