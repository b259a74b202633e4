#include "ops/sigmoid.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/subtract.h"

namespace kiln {
namespace {

// e^-|x| cannot overflow, and the generated code assumes that there are no infinities.
Definition define(const Call& call) {
  return pointwise(
      call,
      [](const Operands& in, const auto& x) {
        const Halide::Expr one = in.constant(1), power = Halide::exp(-Halide::abs(x[0]));
        return Halide::select(x[0] >= in.constant(0), one, power) / (one + power);
      },
      30);
}

std::vector<Tensor> gradient(const GradientCall& call) {
  return {call.cotangent * (call.output * (1.0 - call.output))};
}

Sample sample(Choices& choices) { return unary_sample(choices, sigmoid, -3, 3); }

}  // namespace

const Operator sigmoid_operator = {
    .name = "sigmoid",
    .documentation = "1 / (1 + e^-x), element by element (Keras sigmoid), without overflow.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "Sigmoid",
};

Tensor sigmoid(Operand x) { return x.tensor.graph().append(sigmoid_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
