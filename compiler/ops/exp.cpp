#include "ops/exp.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(
      call, [](const Operands&, const auto& x) { return Halide::exp(x[0]); }, 20);
}

std::vector<Tensor> gradient(const GradientCall& call) { return {call.cotangent * call.output}; }

Sample sample(Choices& choices) { return unary_sample(choices, exp, -2, 2); }

}  // namespace

const Operator exp_operator = {
    .name = "exp",
    .documentation = "e^x, element by element.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor exp(Operand x) { return x.tensor.graph().append(exp_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
