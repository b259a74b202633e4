#include "ops/min_pool.h"

#include "ops/negate.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  check_pool_windows(call);
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  const Shape& x = call.shape(0);
  return {{x[0], windows[0].output, windows[1].output, x[3]}, ElementType::real};
}

Tensor expand(const ExpandCall& call) {
  const Tensor x = negate(call.inputs[0]);
  return negate(call.graph.append(max_pool_operator, {x}, call.attributes, Location::here()));
}

Sample sample(Choices& choices) {
  const Shape x = choices.image();
  const PoolOptions options = random_pool(choices, x);
  return {.inputs = {{x}},
          .build = [options](const std::vector<Tensor>& in) { return min_pool(in[0], options); },
          .distinct = true};
}

}  // namespace

const Operator min_pool_operator = {
    .name = "min_pool",
    .documentation =
        "The smallest element of each window, -max_pool(-x): padding never wins, and the gradient goes to the first "
        "smallest "
        "element in row-major order.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "MinPool",
};

Tensor min_pool(Tensor x, PoolOptions options, Location location) {
  const auto window = pool_windows("min_pool", x.shape(), options, location);
  return x.graph().append(min_pool_operator, {x}, {{"windows", encode(window)}}, location);
}

}  // namespace kiln
