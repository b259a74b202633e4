#include "ops/mean_squared_error.h"

#include "ops/loss.h"
#include "ops/square.h"
#include "ops/subtract.h"

namespace kiln {
namespace {

Tensor expand(const ExpandCall& call) { return mean_of_all(square(call.inputs[0] - call.inputs[1])); }

std::vector<Sample> samples() {
  std::vector<Sample> samples;
  for (const Shape& shape : {Shape{kBatch, 10}, Shape{kBatch, 2, 3, 5}, Shape{kBatch}}) {
    samples.push_back({{shape, shape}, [](const std::vector<Tensor>& in) { return mean_squared_error(in[0], in[1]); }});
  }
  return samples;
}

}  // namespace

const Operator mean_squared_error_operator = {
    .name = "mean_squared_error",
    .documentation =
        "The mean of (prediction - target)^2 over all elements of the rows that hold data (Keras MeanSquaredError): a "
        "scalar.",
    .type = scalar_of_pair,
    .expand = expand,
    .samples = samples,
};

Tensor mean_squared_error(Tensor prediction, Tensor target, Location location) {
  return prediction.graph().append(mean_squared_error_operator, {prediction, target}, {}, location);
}

}  // namespace kiln
