#include "ops/softmax.h"

#include "ops/divide.h"
#include "ops/exp.h"
#include "ops/reduce_max.h"
#include "ops/reduction.h"
#include "ops/stop_gradient.h"
#include "ops/subtract.h"

namespace kiln {
namespace {

// The largest element is subtracted against overflow. It cancels, and so does its gradient, which is not computed.
Tensor expand(const ExpandCall& call) {
  const Tensor x = call.inputs[0];
  const ReduceOptions last = {.axes = {static_cast<int64_t>(x.shape().size()) - 1}};
  const Tensor powers = exp(x - stop_gradient(reduce_max(x, last)));
  return powers / reduce_sum(powers, last);
}

Sample sample(Choices& choices) {
  Sample sample = last_axis_sample(choices, softmax);
  sample.low = -3;
  sample.high = 3;
  return sample;
}

}  // namespace

const Operator softmax_operator = {
    .name = "softmax",
    .documentation = "e^x / sum of e^x along the last axis (Keras softmax), without overflow.",
    .type = same_type_with_last_axis,
    .expand = expand,
    .sample = sample,
    .layer = "Softmax",
};

Tensor softmax(Operand x) { return x.tensor.graph().append(softmax_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
