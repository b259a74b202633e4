#include "ops/flatten.h"

#include "ops/reshape.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const Shape& x = call.shape(0);
  if (!has_batch(x)) call.fail(fmt::format("input must have the batch dimension, got {}; reshape() it", to_string(x)));
  return {{kBatch, element_count(x)}, call.inputs[0].element};
}

Tensor expand(const ExpandCall& call) { return reshape(call.inputs[0], call.type.shape); }

Sample sample(Choices& choices) {
  return {.inputs = {{choices.shape(choices.integer(1, 4), true)}},
          .build = [](const std::vector<Tensor>& in) { return flatten(in[0]); }};
}

}  // namespace

const Operator flatten_operator = {
    .name = "flatten",
    .documentation =
        "Each sample's elements in row-major order (Keras Flatten): N x a x b x ... to N x (a * b * ...); costs "
        "nothing.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "Flatten",
};

Tensor flatten(Operand x) { return x.tensor.graph().append(flatten_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
