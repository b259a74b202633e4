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

std::vector<Sample> samples() {
  std::vector<Sample> samples;
  for (const Shape& shape : {Shape{kBatch, 10}, Shape{kBatch, 2, 3, 5}, Shape{7}}) {
    samples.push_back({{shape}, [](const std::vector<Tensor>& in) { return softmax(in[0]); }, -3, 3});
  }
  return samples;
}

}  // namespace

const Operator softmax_operator = {
    .name = "softmax",
    .documentation = "e^x / sum of e^x along the last axis (Keras softmax), without overflow.",
    .type = same_type_with_last_axis,
    .expand = expand,
    .samples = samples,
    .layer = "Softmax",
};

Tensor softmax(Operand x) { return x.tensor.graph().append(softmax_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
