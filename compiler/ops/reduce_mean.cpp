#include "ops/reduce_mean.h"

#include "ops/divide.h"
#include "ops/multiply.h"
#include "ops/reduction.h"

namespace kiln {
namespace {

Type type(const Call& call) { return {reduced_shape(call), ElementType::real}; }

Tensor expand(const ExpandCall& call) {
  const Tensor x = call.inputs[0];
  const auto& axes = std::get<std::vector<int64_t>>(call.attributes.at("axes"));
  double elements = 1;
  bool over_batch = false;
  for (const int64_t axis : axes) {
    if (x.shape()[axis] == kBatch) {
      over_batch = true;
    } else {
      elements *= static_cast<double>(x.shape()[axis]);
    }
  }
  const Tensor sum = reduce_sum(x, {.axes = axes});
  return over_batch ? sum / (elements * call.graph.scalar("count")) : sum * (1 / elements);
}

Sample sample(Choices& choices) { return reduction_sample(choices, reduce_mean); }

}  // namespace

const Operator reduce_mean_operator = {
    .name = "reduce_mean",
    .documentation =
        "The mean over `axes` (0 is the batch), in reduce_sum's shape; of the batch only rows that hold data count.",
    .type = type,
    .expand = expand,
    .sample = sample,
};

Tensor reduce_mean(Tensor x, ReduceOptions options, Location location) {
  return x.graph().append(reduce_mean_operator, {x}, {{"axes", options.axes}}, location);
}

}  // namespace kiln
