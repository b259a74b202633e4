#include "ops/negate.h"

#include "ops/definition.h"
#include "ops/elementwise.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return -x[0]; });
}

std::vector<Tensor> gradient(const GradientCall& call) { return {negate(call.cotangent)}; }

Sample sample(Choices& choices) { return unary_sample(choices, negate, -1, 1); }

}  // namespace

const Operator negate_operator = {
    .name = "negate",
    .documentation = "-x, element by element.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor negate(Operand x) { return x.tensor.graph().append(negate_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
