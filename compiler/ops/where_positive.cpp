#include "ops/where_positive.h"

#include "ops/definition.h"
#include "ops/elementwise.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  return pointwise(call,
                   [](const Operands& in, const auto& x) { return Halide::select(x[0] > in.constant(0), x[1], x[2]); });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const Tensor zero = call.graph.constant(0);
  return {Tensor{}, sum_to(where_positive(call.inputs[0], call.cotangent, zero), call.inputs[1].shape()),
          sum_to(where_positive(call.inputs[0], zero, call.cotangent), call.inputs[2].shape())};
}

Sample sample(Choices& choices) {
  return {.inputs = broadcast_types(choices, 3),
          .build = [](const std::vector<Tensor>& in) { return where_positive(in[0], in[1], in[2]); },
          .kinks = {0}};
}

}  // namespace

const Operator where_positive_operator = {
    .name = "where_positive",
    .documentation =
        "`where_positive(condition, yes, no)`: `yes` where `condition` > 0, else `no`, element by element with "
        "broadcasting (ONNX Where after Greater). The condition has no gradient.",
    .type = broadcast_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor where_positive(Operand condition, Operand yes, Operand no) {
  return condition.tensor.graph().append(where_positive_operator, {condition.tensor, yes.tensor, no.tensor}, {},
                                         condition.location);
}

}  // namespace kiln
