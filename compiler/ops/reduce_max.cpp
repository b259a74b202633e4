#include "ops/reduce_max.h"

#include "ops/broadcast_to.h"
#include "ops/divide.h"
#include "ops/multiply.h"
#include "ops/reduction.h"
#include "ops/subtract.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Type type(const Call& call) { return {reduced_shape(call), ElementType::real}; }

Definition define(const Call& call) {
  Definition definition = fold_axes(call, Fold::max);
  definition.compares = true;  // the gradient looks for the largest elements
  return definition;
}

// broadcast_to_data keeps rows without data at zero where the batch itself was reduced.
std::vector<Tensor> gradient(const GradientCall& call) {
  const Tensor x = call.inputs[0], zero = call.graph.constant(0), one = call.graph.constant(1);
  const Tensor largest = where_positive(call.output - x, zero, one);
  const auto& axes = std::get<std::vector<int64_t>>(call.attributes.at("axes"));
  const Tensor share = call.cotangent / reduce_sum(largest, {.axes = axes});
  return {largest * broadcast_to_data(share, {.shape = x.shape()})};
}

Sample sample(Choices& choices) {
  Sample sample = reduction_sample(choices, reduce_max);
  sample.distinct = true;
  return sample;
}

}  // namespace

const Operator reduce_max_operator = {
    .name = "reduce_max",
    .documentation =
        "The largest element over `axes` (0 is the batch), in reduce_sum's shape. Equal largest elements share the "
        "gradient "
        "evenly (PyTorch amax, TensorFlow reduce_max).",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor reduce_max(Tensor x, ReduceOptions options, Location location) {
  return x.graph().append(reduce_max_operator, {x}, {{"axes", options.axes}}, location);
}

}  // namespace kiln
