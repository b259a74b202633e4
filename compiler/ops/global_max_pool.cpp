#include "ops/global_max_pool.h"

#include "ops/reduce_max.h"
#include "ops/reshape.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const Shape& x = call.shape(0);
  if (x.size() != 4)
    call.fail(fmt::format("input must have rank 4 (batch, height, width, channels), got {}", to_string(x)));
  return {{x[0], x[3]}, ElementType::real};
}

Tensor expand(const ExpandCall& call) { return reshape(reduce_max(call.inputs[0], {.axes = {1, 2}}), call.type.shape); }

Sample sample(Choices& choices) {
  return {.inputs = {{choices.image()}},
          .build = [](const std::vector<Tensor>& in) { return global_max_pool(in[0]); },
          .distinct = true};
}

}  // namespace

const Operator global_max_pool_operator = {
    .name = "global_max_pool",
    .documentation =
        "The largest element of each channel (Keras GlobalMaxPooling2D): N x height x width x channels to N x "
        "channels.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "GlobalMaxPool",
};

Tensor global_max_pool(Operand x) {
  return x.tensor.graph().append(global_max_pool_operator, {x.tensor}, {}, x.location);
}

}  // namespace kiln
