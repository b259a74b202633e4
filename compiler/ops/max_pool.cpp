#include "ops/max_pool.h"

#include <limits>

#include "ops/definition.h"
#include "ops/max_pool_gradient.h"

namespace kiln {
namespace {

Type type(const Call& call) {
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
                return padded ? in.read_or(0, index, in.real().min()) : in.read(0, index);
              });
}

std::vector<Tensor> gradient(const GradientCall& call) {
  return {
      max_pool_gradient(call.inputs[0], call.cotangent, std::get<std::vector<int64_t>>(call.attributes.at("windows")))};
}

std::vector<Sample> samples() {
  std::vector<Sample> samples;
  const auto add = [&](const Shape& shape, const PoolOptions& options) {
    samples.push_back({{shape}, [options](const std::vector<Tensor>& in) { return max_pool(in[0], options); }});
  };
  add({kBatch, 4, 6, 3}, {});
  add({kBatch, 5, 7, 2}, {});
  add({kBatch, 7, 7, 2}, {.size = {3, 3}, .strides = {2, 2}, .padding = Padding::same()});
  add({kBatch, 5, 5, 1}, {.size = {3, 2}, .strides = {1, 1}});
  return samples;
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
    .samples = samples,
    .layer = "MaxPool",
};

Tensor max_pool(Tensor x, PoolOptions options, Location location) {
  const auto& strides = options.strides.empty() ? options.size : options.strides;
  const auto window = windows("max_pool", x.shape(), options.size, strides, {1, 1}, options.padding, location);
  return x.graph().append(max_pool_operator, {x}, {{"windows", encode(window)}}, location);
}

}  // namespace kiln
