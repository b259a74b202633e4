#include "ops/categorical_accuracy.h"

#include "ops/abs.h"
#include "ops/argmax.h"
#include "ops/loss.h"
#include "ops/reduction.h"
#include "ops/subtract.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  last_axis(call);
  return scalar_of_pair(call);
}

Tensor expand(const ExpandCall& call) {
  Graph& graph = call.graph;
  const Tensor distance = abs(argmax(call.inputs[0]) - argmax(call.inputs[1]));
  return mean_of_all(where_positive(distance, graph.constant(0), graph.constant(1)));
}

std::vector<Sample> samples() {
  std::vector<Sample> samples;
  for (const Shape& shape : {Shape{kBatch, 10}, Shape{kBatch, 3, 2}}) {
    samples.push_back(
        {{shape, shape}, [](const std::vector<Tensor>& in) { return categorical_accuracy(in[0], in[1]); }});
  }
  return samples;
}

}  // namespace

const Operator categorical_accuracy_operator = {
    .name = "categorical_accuracy",
    .documentation =
        "The part of the rows that hold data whose largest prediction is at the target's largest element (Keras "
        "CategoricalAccuracy): a scalar without a gradient.",
    .type = type,
    .expand = expand,
    .samples = samples,
};

Tensor categorical_accuracy(Tensor prediction, Tensor target, Location location) {
  return prediction.graph().append(categorical_accuracy_operator, {prediction, target}, {}, location);
}

}  // namespace kiln
