#include "ops/clip.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/maximum.h"
#include "ops/subtract.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const double min = call.attribute<double>("min"), max = call.attribute<double>("max");
  if (!(min <= max)) call.fail(fmt::format("min must not be above max, got min {} and max {}", min, max));
  return same_type(call);
}

Definition define(const Call& call) {
  const double min = call.attribute<double>("min"), max = call.attribute<double>("max");
  return pointwise(
      call,
      [min, max](const Operands& in, const auto& x) {
        return Halide::max(Halide::min(x[0], in.constant(max)), in.constant(min));
      },
      2);
}

// Equality with the output would not do: a value that a fused kernel computes again may be rounded differently.
std::vector<Tensor> gradient(const GradientCall& call) {
  const double min = std::get<double>(call.attributes.at("min")), max = std::get<double>(call.attributes.at("max"));
  const Tensor x = call.inputs[0], beyond = maximum(min - x, x - max);
  return {where_positive(beyond, call.graph.constant(0), call.cotangent)};
}

Sample sample(Choices& choices) {
  const ClipOptions options = {.min = choices.pick({-0.4, 0.1, -2.0}), .max = choices.pick({0.8, 0.1, 2.0})};
  return {.inputs = {{choices.any_shape()}},
          .build = [options](const std::vector<Tensor>& in) { return clip(in[0], options); },
          .kinks = {options.min, options.max},
          .flat = options.min == options.max};
}

}  // namespace

const Operator clip_operator = {
    .name = "clip",
    .documentation =
        "min(max(x, `min`), `max`), element by element (NumPy clip, Keras ops.clip); the gradient passes from `min` to "
        "`max`, "
        "bounds included, and is 0 outside.",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor clip(Tensor x, ClipOptions options, Location location) {
  return x.graph().append(clip_operator, {x}, {{"min", options.min}, {"max", options.max}}, location);
}

}  // namespace kiln
