#include "ops/reduce_sum.h"

#include "ops/broadcast_to.h"
#include "ops/reduction.h"

namespace kiln {

namespace {

Type type(const Call& call) { return {reduced_shape(call), ElementType::real}; }

Definition define(const Call& call) { return fold_axes(call, Fold::sum); }

std::vector<Tensor> gradient(const GradientCall& call) {
  return {broadcast_to_data(call.cotangent, {.shape = call.inputs[0].shape()})};
}

Sample sample(Choices& choices) { return reduction_sample(choices, reduce_sum); }

}  // namespace

const Operator reduce_sum_operator = {
    .name = "reduce_sum",
    .documentation =
        "The sum over `axes` (0 is the batch). A summed batch dimension is dropped, and only rows that hold data "
        "count; the other summed dimensions stay with extent 1 (NumPy's keepdims).",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor reduce_sum(Tensor x, ReduceOptions options, Location location) {
  return x.graph().append(reduce_sum_operator, {x}, {{"axes", options.axes}}, location);
}

}  // namespace kiln
