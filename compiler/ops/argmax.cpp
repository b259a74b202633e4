#include "ops/argmax.h"

#include "ops/index_of.h"
#include "ops/reduce_max.h"
#include "ops/reduction.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  Shape shape = call.shape(0);
  shape[last_axis(call)] = 1;
  return {shape, ElementType::real};
}

Tensor expand(const ExpandCall& call) {
  const Tensor x = call.inputs[0];
  return index_of(x, reduce_max(x, {.axes = {static_cast<int64_t>(x.shape().size()) - 1}}));
}

Sample sample(Choices& choices) {
  Sample sample = last_axis_sample(choices, argmax);
  sample.distinct = true;
  return sample;
}

}  // namespace

const Operator argmax_operator = {
    .name = "argmax",
    .documentation =
        "The index of the largest element along the last axis, the first of equal ones, as a real number (NumPy argmax "
        "with "
        "keepdims): N x classes to N x 1. It has no gradient.",
    .type = type,
    .expand = expand,
    .sample = sample,
};

Tensor argmax(Operand x) { return x.tensor.graph().append(argmax_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
