#include "ops/softplus.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/sigmoid.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(
      call,
      [](const Operands& in, const auto& x) {
        return Halide::max(x[0], in.constant(0)) + Halide::log(in.constant(1) + Halide::exp(-Halide::abs(x[0])));
      },
      44);
}

std::vector<Tensor> gradient(const GradientCall& call) { return {call.cotangent * sigmoid(call.inputs[0])}; }

Sample sample(Choices& choices) { return unary_sample(choices, softplus, -3, 3); }

}  // namespace

const Operator softplus_operator = {
    .name = "softplus",
    .documentation =
        "log(1 + e^x), element by element (Keras softplus), as max(x, 0) + log(1 + e^-|x|), which does not overflow.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "Softplus",
};

Tensor softplus(Operand x) { return x.tensor.graph().append(softplus_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
