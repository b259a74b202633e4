#include "ops/categorical_accuracy.h"

#include "ops/abs.h"
#include "ops/argmax.h"
#include "ops/loss.h"
#include "ops/one_hot.h"
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

Sample sample(Choices& choices) {
  const Shape labels = choices.shape(choices.integer(1, 3), true);
  Shape prediction = labels;
  prediction.push_back(choices.extent(8));
  return {.inputs = {{prediction}, {labels, ElementType::int32}},
          .build =
              [classes = prediction.back()](const std::vector<Tensor>& in) {
                return categorical_accuracy(in[0], one_hot(in[1], {.classes = classes}));
              },
          .classes = prediction.back(),
          .distinct = true};
}

}  // namespace

const Operator categorical_accuracy_operator = {
    .name = "categorical_accuracy",
    .documentation =
        "The part of the rows that hold data whose largest prediction is at the target's largest element (Keras "
        "CategoricalAccuracy): a scalar without a gradient.",
    .type = type,
    .expand = expand,
    .sample = sample,
};

Tensor categorical_accuracy(Tensor prediction, Tensor target, Location location) {
  return prediction.graph().append(categorical_accuracy_operator, {prediction, target}, {}, location);
}

}  // namespace kiln
