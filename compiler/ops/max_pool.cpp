#include "ops/max_pool.h"

#include <limits>

#include "ops/definition.h"
#include "ops/max_pool_gradient.h"

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
  return fold(Fold::max, {windows[0].size, windows[1].size},
              [windows](const Operands& in, const Index& at, const Index& r) {
                Index index = at;
                bool padded = false;
                for (size_t i = 0; i < 2; ++i) {
                  const Window& w = windows[i];
                  index[i + 1] = at[i + 1] * static_cast<int>(w.stride) + r[i] - static_cast<int>(w.before);
                  padded |= w.before > 0 || (w.output - 1) * w.stride + w.size - w.before > w.input;
                }
                return padded ? in.read_or(0, index, in.constant(kLowest)) : in.read(0, index);
              });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  return {
      max_pool_gradient(call.inputs[0], call.cotangent, std::get<std::vector<int64_t>>(call.attributes.at("windows")))};
}

Sample sample(Choices& choices) {
  const Shape x = choices.image();
  const PoolOptions options = random_pool(choices, x);
  return {.inputs = {{x}},
          .build = [options](const std::vector<Tensor>& in) { return max_pool(in[0], options); },
          .distinct = true};
}

}  // namespace

const Operator max_pool_operator = {
    .name = "max_pool",
    .documentation =
        "The largest element of each window (Keras MaxPooling2D, ONNX MaxPool); padding never wins, and the gradient "
        "goes to "
        "the first largest element in row-major order.",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "MaxPool",
};

std::vector<Window> pool_windows(const char* op, const Shape& x, const PoolOptions& options, Location location) {
  const auto& strides = options.strides.empty() ? options.size : options.strides;
  return windows(op, x, options.size, strides, {1, 1}, options.padding, location);
}

PoolOptions random_pool(Choices& choices, const Shape& x) {
  const WindowChoice window = random_window(choices, x, true);
  return {.size = window.size, .strides = window.strides, .padding = window.padding};
}

Tensor max_pool(Tensor x, PoolOptions options, Location location) {
  const auto window = pool_windows("max_pool", x.shape(), options, location);
  return x.graph().append(max_pool_operator, {x}, {{"windows", encode(window)}}, location);
}

}  // namespace kiln
