#include "ops/average_pool.h"

#include "ops/average_pool_gradient.h"
#include "ops/average_window.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  check_pool_windows(call);
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  const Shape& x = call.shape(0);
  return {{x[0], windows[0].output, windows[1].output, x[3]}, ElementType::real};
}

Definition define(const Call& call) {
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  const Shape extents = {windows[0].size, windows[1].size};
  return fold(Fold::sum, extents, [windows](const Operands& in, const Index& at, const Index& r) {
    Index index = at;
    for (size_t i = 0; i < 2; ++i) {
      index[i + 1] = at[i + 1] * static_cast<int>(windows[i].stride) + r[i] - static_cast<int>(windows[i].before);
    }
    const bool padded = reaches_padding(windows[0]) || reaches_padding(windows[1]);
    const Halide::Expr value = padded ? in.read_or(0, index, in.constant(0)) : in.read(0, index);
    return value * average_weight(in, windows, at[1], at[2]);
  });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  return {average_pool_gradient(call.cotangent, std::get<std::vector<int64_t>>(call.attributes.at("windows")))};
}

Sample sample(Choices& choices) {
  const Shape x = choices.image();
  const PoolOptions options = random_pool(choices, x);
  return {.inputs = {{x}}, .build = [options](const std::vector<Tensor>& in) { return average_pool(in[0], options); }};
}

}  // namespace

const Operator average_pool_operator = {
    .name = "average_pool",
    .documentation =
        "The mean of each window's elements (Keras AveragePooling2D, ONNX AveragePool with count_include_pad = 0): "
        "padding is "
        "not counted.",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "AveragePool",
};

Tensor average_pool(Tensor x, PoolOptions options, Location location) {
  const auto window = pool_windows("average_pool", x.shape(), options, location);
  return x.graph().append(average_pool_operator, {x}, {{"windows", encode(window)}}, location);
}

}  // namespace kiln
