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

std::vector<Sample> samples() {
  std::vector<Sample> samples;
  const Shape image = {kBatch, 3, 5, 2};
  for (const std::vector<int64_t>& axes : {std::vector<int64_t>{0}, {2}, {1, 2}, {0, 1, 2}, {0, 1, 2, 3}}) {
    samples.push_back({{image}, [axes](const std::vector<Tensor>& in) { return reduce_mean(in[0], {.axes = axes}); }});
  }
  samples.push_back({{{4, 7}}, [](const std::vector<Tensor>& in) { return reduce_mean(in[0], {.axes = {1}}); }});
  return samples;
}

}  // namespace

const Operator reduce_mean_operator = {
    .name = "reduce_mean",
    .documentation =
        "The mean over `axes` (0 is the batch), in reduce_sum's shape; of the batch only rows that hold data count.",
    .type = type,
    .expand = expand,
    .samples = samples,
};

Tensor reduce_mean(Tensor x, ReduceOptions options, Location location) {
  return x.graph().append(reduce_mean_operator, {x}, {{"axes", options.axes}}, location);
}

}  // namespace kiln
