#include "ops/log.h"

#include "ops/definition.h"
#include "ops/divide.h"
#include "ops/elementwise.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(
      call, [](const Operands&, const auto& x) { return Halide::log(x[0]); }, 20);
}

std::vector<Tensor> gradient(const GradientCall& call) { return {call.cotangent / call.inputs[0]}; }

Sample sample(Choices& choices) { return unary_sample(choices, log, 0.2, 3); }

}  // namespace

const Operator log_operator = {
    .name = "log",
    .documentation = "The natural logarithm, element by element; x > 0.",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor log(Operand x) { return x.tensor.graph().append(log_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
