#include "ops/sqrt.h"

#include "ops/definition.h"
#include "ops/divide.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(
      call, [](const Operands&, const auto& x) { return Halide::sqrt(x[0]); }, 8);
}

std::vector<Tensor> gradient(const GradientCall& call) { return {0.5 * call.cotangent / call.output}; }

Sample sample(Choices& choices) { return unary_sample(choices, sqrt, 0.2, 3); }

}  // namespace

const Operator sqrt_operator = {
    .name = "sqrt",
    .documentation = "The square root, element by element; x > 0.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor sqrt(Operand x) { return x.tensor.graph().append(sqrt_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
