#include "ops/leaky_relu.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const double slope = call.attribute<double>("negative_slope");
  if (!(slope >= 0)) call.fail(fmt::format("negative_slope must not be negative, got {}", slope));
  return same_type(call);
}

Definition define(const Call& call) {
  const double slope = call.attribute<double>("negative_slope");
  return pointwise(
      call,
      [slope](const Operands& in, const auto& x) {
        return Halide::select(x[0] > in.constant(0), x[0], in.constant(slope) * x[0]);
      },
      2);
}

// From the output, which has the input's sign (the slope is not negative).
std::vector<Tensor> gradient(const GradientCall& call) {
  const double slope = std::get<double>(call.attributes.at("negative_slope"));
  return {where_positive(call.output, call.cotangent, slope * call.cotangent)};
}

Sample sample(Choices& choices) {
  const double slope = choices.pick({0.3, 0.0, 1.0});
  return {.inputs = {{choices.any_shape()}},
          .build = [slope](const std::vector<Tensor>& in) { return leaky_relu(in[0], {.negative_slope = slope}); },
          .kinks = {0}};
}

}  // namespace

const Operator leaky_relu_operator = {
    .name = "leaky_relu",
    .documentation = "x where x > 0, else `negative_slope` * x (Keras LeakyReLU, whose slope 0.3 is the default).",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "LeakyReLU",
};

Tensor leaky_relu(Tensor x, LeakyReluOptions options, Location location) {
  return x.graph().append(leaky_relu_operator, {x}, {{"negative_slope", options.negative_slope}}, location);
}

}  // namespace kiln
