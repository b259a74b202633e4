#include "ops/binary_accuracy.h"

#include "ops/abs.h"
#include "ops/loss.h"
#include "ops/one_hot.h"
#include "ops/subtract.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Tensor expand(const ExpandCall& call) {
  const Tensor zero = call.graph.constant(0), one = call.graph.constant(1);
  const double threshold = std::get<double>(call.attributes.at("threshold"));
  const Tensor predicted = where_positive(call.inputs[0] - threshold, one, zero);
  return mean_of_all(where_positive(abs(predicted - call.inputs[1]), zero, one));
}

Sample sample(Choices& choices) {
  const Shape labels = choices.shape(choices.integer(1, 3), true);
  Shape prediction = labels;
  prediction.push_back(choices.extent(8));
  const double threshold = choices.pick({0.5, 0.25});
  return {.inputs = {{prediction}, {labels, ElementType::int32}},
          .build =
              [=](const std::vector<Tensor>& in) {
                const Tensor target = one_hot(in[1], {.classes = prediction.back()});
                return binary_accuracy(in[0], target, {.threshold = threshold});
              },
          .low = 0,
          .classes = prediction.back(),
          .kinks = {threshold}};
}

}  // namespace

const Operator binary_accuracy_operator = {
    .name = "binary_accuracy",
    .documentation =
        "The part of all elements of the rows that hold data for which (prediction > `threshold`) is the target, 0 or "
        "1 (Keras "
        "BinaryAccuracy): a scalar without a gradient. Over one-hot classes it flatters: of ten, eight are right by "
        "chance.",
    .type = scalar_of_pair,
    .expand = expand,
    .sample = sample,
};

Tensor binary_accuracy(Tensor prediction, Tensor target, BinaryAccuracyOptions options, Location location) {
  return prediction.graph().append(binary_accuracy_operator, {prediction, target}, {{"threshold", options.threshold}},
                                   location);
}

}  // namespace kiln
