#include "ops/log_softmax.h"

#include "ops/exp.h"
#include "ops/log.h"
#include "ops/reduce_max.h"
#include "ops/reduction.h"
#include "ops/stop_gradient.h"
#include "ops/subtract.h"

namespace kiln {
namespace {

// As in softmax, the largest element cancels.
Tensor expand(const ExpandCall& call) {
  const Tensor x = call.inputs[0];
  const ReduceOptions last = {.axes = {static_cast<int64_t>(x.shape().size()) - 1}};
  const Tensor shifted = x - stop_gradient(reduce_max(x, last));
  return shifted - log(reduce_sum(exp(shifted), last));
}

Sample sample(Choices& choices) {
  Sample sample = last_axis_sample(choices, log_softmax);
  sample.low = -3;
  sample.high = 3;
  return sample;
}

}  // namespace

const Operator log_softmax_operator = {
    .name = "log_softmax",
    .documentation = "log(softmax(x)) along the last axis (Keras log_softmax), exact where the probability underflows.",
    .type = same_type_with_last_axis,
    .expand = expand,
    .sample = sample,
    .layer = "LogSoftmax",
};

Tensor log_softmax(Operand x) { return x.tensor.graph().append(log_softmax_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
