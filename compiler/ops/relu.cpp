#include "ops/relu.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call, [](const Operands& in, const auto& x) { return Halide::max(x[0], in.constant(0)); });
}

// From the output, which is kept anyway: it is positive exactly where the input is.
std::vector<Tensor> gradient(const GradientCall& call) {
  return {where_positive(call.output, call.cotangent, call.graph.constant(0))};
}

Sample sample(Choices& choices) { return unary_sample(choices, relu, -1, 1, {0}); }

}  // namespace

const Operator relu_operator = {
    .name = "relu",
    .documentation = "max(x, 0), element by element; the gradient at 0 is 0 (Keras).",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "ReLU",
};

Tensor relu(Operand x) { return x.tensor.graph().append(relu_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
