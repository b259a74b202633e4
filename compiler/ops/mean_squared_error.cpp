#include "ops/mean_squared_error.h"

#include "ops/loss.h"
#include "ops/square.h"
#include "ops/subtract.h"

namespace kiln {
namespace {

Tensor expand(const ExpandCall& call) { return mean_of_all(square(call.inputs[0] - call.inputs[1])); }

Sample sample(Choices& choices) {
  const Type x = {choices.any_shape()};
  return {.inputs = {x, x}, .build = [](const std::vector<Tensor>& in) { return mean_squared_error(in[0], in[1]); }};
}

}  // namespace

const Operator mean_squared_error_operator = {
    .name = "mean_squared_error",
    .documentation =
        "The mean of (prediction - target)^2 over all elements of the rows that hold data (Keras MeanSquaredError): a "
        "scalar.",
    .type = scalar_of_pair,
    .expand = expand,
    .sample = sample,
};

Tensor mean_squared_error(Tensor prediction, Tensor target, Location location) {
  return prediction.graph().append(mean_squared_error_operator, {prediction, target}, {}, location);
}

}  // namespace kiln
