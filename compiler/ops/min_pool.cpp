#include "ops/min_pool.h"

#include "ops/negate.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  const Shape& x = call.shape(0);
  return {{x[0], windows[0].output, windows[1].output, x[3]}, ElementType::real};
}

Tensor expand(const ExpandCall& call) {
  const Tensor x = negate(call.inputs[0]);
  return negate(call.graph.append(max_pool_operator, {x}, call.attributes, Location::here()));
}

std::vector<Sample> samples() {
  std::vector<Sample> samples;
  const auto add = [&](const Shape& shape, const PoolOptions& options) {
    samples.push_back({{shape}, [options](const std::vector<Tensor>& in) { return min_pool(in[0], options); }});
  };
  add({kBatch, 4, 6, 3}, {});
  add({kBatch, 5, 7, 2}, {.size = {3, 3}, .strides = {2, 2}, .padding = Padding::same()});
  return samples;
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
    .samples = samples,
    .layer = "MinPool",
};

Tensor min_pool(Tensor x, PoolOptions options, Location location) {
  const auto& strides = options.strides.empty() ? options.size : options.strides;
  const auto window = windows("min_pool", x.shape(), options.size, strides, {1, 1}, options.padding, location);
  return x.graph().append(min_pool_operator, {x}, {{"windows", encode(window)}}, location);
}

}  // namespace kiln
