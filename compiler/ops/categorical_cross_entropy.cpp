#include "ops/categorical_cross_entropy.h"

#include "ops/add.h"
#include "ops/clip.h"
#include "ops/divide.h"
#include "ops/log.h"
#include "ops/log_softmax.h"
#include "ops/loss.h"
#include "ops/multiply.h"
#include "ops/reduce_sum.h"
#include "ops/reduction.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const double smoothing = call.attribute<double>("label_smoothing");
  if (!(smoothing >= 0 && smoothing <= 1))
    call.fail(fmt::format("label_smoothing must be in [0, 1], got {}", smoothing));
  last_axis(call);
  return scalar_of_pair(call);
}

Tensor expand(const ExpandCall& call) {
  const Tensor prediction = call.inputs[0];
  const int64_t last = static_cast<int64_t>(prediction.shape().size()) - 1;
  const double classes = static_cast<double>(prediction.shape()[last]);
  const Tensor target = smoothed(call.inputs[1], std::get<double>(call.attributes.at("label_smoothing")), classes);
  Tensor log_probability;
  if (std::get<bool>(call.attributes.at("from_logits"))) {
    log_probability = log_softmax(prediction);
  } else {
    const double epsilon = 1e-7;  // keras.config.epsilon()
    const Tensor p = prediction / reduce_sum(prediction, {.axes = {last}});
    log_probability = log(clip(p, {.min = epsilon, .max = 1 - epsilon}));
  }
  // The sum along the last axis is its mean times the classes: one reduction for all.
  return -classes * mean_of_all(target * log_probability);
}

Sample sample(Choices& choices) {
  const CategoricalCrossEntropyOptions options = {.from_logits = choices.flip(),
                                                  .label_smoothing = choices.pick({0.0, 0.2})};
  const Type x = {choices.shape(choices.integer(2, 4), true)};
  return {
      .inputs = {x, x},
      .build = [options](const std::vector<Tensor>& in) { return categorical_cross_entropy(in[0], in[1], options); },
      .low = 0.1,
      .high = 0.9,
      .flat = x.shape.back() == 1};
}

}  // namespace

const Operator categorical_cross_entropy_operator = {
    .name = "categorical_cross_entropy",
    .documentation =
        "-sum of target * log(p) along the last axis, the mean over the rows that hold data (Keras "
        "CategoricalCrossentropy): a "
        "scalar. Probabilities are divided by their sum and clipped to [1e-7, 1 - 1e-7]; with `from_logits` the "
        "prediction is "
        "what softmax would take; `label_smoothing` s makes the target target * (1 - s) + s / classes.",
    .type = type,
    .expand = expand,
    .sample = sample,
};

Tensor categorical_cross_entropy(Tensor prediction, Tensor target, CategoricalCrossEntropyOptions options,
                                 Location location) {
  return prediction.graph().append(categorical_cross_entropy_operator, {prediction, target},
                                   {{"from_logits", options.from_logits}, {"label_smoothing", options.label_smoothing}},
                                   location);
}

}  // namespace kiln
