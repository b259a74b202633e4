#include "ops/negate.h"

#include "ops/definition.h"
#include "ops/elementwise.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands&, const auto& x) { return -x[0]; });
}

std::vector<Tensor> gradient(const GradientCall& call) { return {negate(call.cotangent)}; }

std::vector<Sample> samples() { return unary_samples(negate, -1, 1); }

}  // namespace

const Operator negate_operator = {
    .name = "negate",
    .documentation = "-x, element by element.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .samples = samples,
};

Tensor negate(Operand x) { return x.tensor.graph().append(negate_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
