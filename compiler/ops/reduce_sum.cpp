#include "ops/reduce_sum.h"

#include "ops/broadcast_to.h"
#include "ops/reduction.h"

namespace kiln {

namespace {

Type type(const Call& call) { return {reduced_shape(call), ElementType::real}; }

Definition define(const Call& call) { return fold_axes(call, Fold::sum); }

std::vector<Tensor> gradient(const GradientCall& call) {
  return {broadcast_to(call.cotangent, {.shape = call.inputs[0].shape()})};
}

std::vector<Sample> samples() {
  std::vector<Sample> samples;
  const Shape image = {kBatch, 3, 5, 2};
  for (const std::vector<int64_t>& axes :
       {std::vector<int64_t>{0}, {1}, {3}, {0, 2, 3}, {0, 1, 2}, {1, 2, 3}, {0, 1, 2, 3}}) {
    samples.push_back({{image}, [axes](const std::vector<Tensor>& in) { return reduce_sum(in[0], {.axes = axes}); }});
  }
  samples.push_back({{{4, 7}}, [](const std::vector<Tensor>& in) { return reduce_sum(in[0], {.axes = {0}}); }});
  return samples;
}

}  // namespace

const Operator reduce_sum_operator = {
    .name = "reduce_sum",
    .documentation =
        "The sum over `axes` (0 is the batch). A summed batch dimension is dropped, and only rows that hold data "
        "count; the other summed dimensions stay with extent 1 (NumPy's keepdims).",
    .type = type,
    .define = define,
    .gradient = gradient,
    .samples = samples,
};

Tensor reduce_sum(Tensor x, ReduceOptions options, Location location) {
  return x.graph().append(reduce_sum_operator, {x}, {{"axes", options.axes}}, location);
}

}  // namespace kiln
