#include "ops/elu.h"

#include "ops/add.h"
#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const double alpha = call.attribute<double>("alpha");
  if (!(alpha >= 0)) call.fail(fmt::format("alpha must not be negative, got {}", alpha));
  return same_type(call);
}

// e^min(x, 0): the branch that is not taken must not overflow.
Definition define(const Call& call) {
  const double alpha = call.attribute<double>("alpha");
  return pointwise(
      call,
      [alpha](const Operands& in, const auto& x) {
        const Halide::Expr zero = in.constant(0);
        return Halide::select(x[0] > zero, x[0],
                              in.constant(alpha) * (Halide::exp(Halide::min(x[0], zero)) - in.constant(1)));
      },
      24);
}

// From the output: it has the input's sign, and below zero alpha * e^x = output + alpha.
std::vector<Tensor> gradient(const GradientCall& call) {
  const double alpha = std::get<double>(call.attributes.at("alpha"));
  return {where_positive(call.output, call.cotangent, call.cotangent * (call.output + alpha))};
}

Sample sample(Choices& choices) {
  const double alpha = choices.pick({1.0, 0.5, 0.0});
  return {.inputs = {{choices.any_shape()}},
          .build = [alpha](const std::vector<Tensor>& in) { return elu(in[0], {.alpha = alpha}); },
          .low = -2,
          .high = 2,
          .kinks = {0}};
}

}  // namespace

const Operator elu_operator = {
    .name = "elu",
    .documentation = "x where x > 0, else `alpha` * (e^x - 1) (Clevert et al. 2015; Keras elu).",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "ELU",
};

Tensor elu(Tensor x, EluOptions options, Location location) {
  return x.graph().append(elu_operator, {x}, {{"alpha", options.alpha}}, location);
}

}  // namespace kiln
