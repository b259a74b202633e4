#include "ops/selu.h"

#include "ops/add.h"
#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(
      call,
      [](const Operands& in, const auto& x) {
        const Halide::Expr zero = in.constant(0);
        return Halide::select(
            x[0] > zero, in.constant(kSeluScale) * x[0],
            in.constant(kSeluScale * kSeluAlpha) * (Halide::exp(Halide::min(x[0], zero)) - in.constant(1)));
      },
      24);
}

// From the output: it has the input's sign, and below zero scale * alpha * e^x = output + scale * alpha.
std::vector<Tensor> gradient(const GradientCall& call) {
  return {where_positive(call.output, kSeluScale * call.cotangent,
                         call.cotangent * (call.output + kSeluScale * kSeluAlpha))};
}

Sample sample(Choices& choices) { return unary_sample(choices, selu, -2, 2, {0}); }

}  // namespace

const Operator selu_operator = {
    .name = "selu",
    .documentation =
        "scale * (x where x > 0, else alpha * (e^x - 1)) with alpha 1.6732632423543772 and scale 1.0507009873554805 "
        "(Klambauer et al. 2017; Keras selu). Kernels before it start as `lecun_normal`, and its dropout is "
        "`alpha_dropout`.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "SELU",
};

Tensor selu(Operand x) { return x.tensor.graph().append(selu_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
