#include "ops/binary_cross_entropy.h"

#include "ops/add.h"
#include "ops/clip.h"
#include "ops/log.h"
#include "ops/loss.h"
#include "ops/multiply.h"
#include "ops/negate.h"
#include "ops/softplus.h"
#include "ops/subtract.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const double smoothing = call.attribute<double>("label_smoothing");
  if (!(smoothing >= 0 && smoothing <= 1))
    call.fail(fmt::format("label_smoothing must be in [0, 1], got {}", smoothing));
  return scalar_of_pair(call);
}

Tensor expand(const ExpandCall& call) {
  const Tensor prediction = call.inputs[0];
  const Tensor target = smoothed(call.inputs[1], std::get<double>(call.attributes.at("label_smoothing")), 2);
  // With p = sigmoid(x): -log(p) = softplus(-x) = softplus(x) - x and -log(1 - p) = softplus(x).
  if (std::get<bool>(call.attributes.at("from_logits"))) return mean_of_all(softplus(prediction) - target * prediction);
  const double epsilon = 1e-7;  // keras.config.epsilon()
  const Tensor p = clip(prediction, {.min = epsilon, .max = 1 - epsilon});
  return mean_of_all(negate(target * log(p) + (1.0 - target) * log(1.0 - p)));
}

Sample sample(Choices& choices) {
  const BinaryCrossEntropyOptions options = {.from_logits = choices.flip(),
                                             .label_smoothing = choices.pick({0.0, 0.2})};
  const Type x = {choices.any_shape()};
  return {.inputs = {x, x},
          .build = [options](const std::vector<Tensor>& in) { return binary_cross_entropy(in[0], in[1], options); },
          .low = 0.1,
          .high = 0.9};
}

}  // namespace

const Operator binary_cross_entropy_operator = {
    .name = "binary_cross_entropy",
    .documentation =
        "-target * log(p) - (1 - target) * log(1 - p), the mean over all elements of the rows that hold data (Keras "
        "BinaryCrossentropy): a scalar. Probabilities are clipped to [1e-7, 1 - 1e-7]; with `from_logits` the "
        "prediction is "
        "what sigmoid would take; `label_smoothing` s makes the target target * (1 - s) + s / 2.",
    .type = type,
    .expand = expand,
    .sample = sample,
};

Tensor binary_cross_entropy(Tensor prediction, Tensor target, BinaryCrossEntropyOptions options, Location location) {
  return prediction.graph().append(binary_cross_entropy_operator, {prediction, target},
                                   {{"from_logits", options.from_logits}, {"label_smoothing", options.label_smoothing}},
                                   location);
}

}  // namespace kiln
