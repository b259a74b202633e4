#include "ops/depthwise_conv2d.h"

#include "ops/add.h"
#include "ops/contraction.h"
#include "ops/reshape.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  const Shape& kernel = call.shape(1);
  return {{kBatch, windows[0].output, windows[1].output, kernel[0] * kernel[1]}, ElementType::real};
}

Tensor expand(const ExpandCall& call) {
  const auto windows = decode_windows(std::get<std::vector<int64_t>>(call.attributes.at("windows")));
  const Window h = windows[0], w = windows[1];
  const Shape kernel = call.inputs[1].shape();
  // loops: batch row column channel filter | kernel_row kernel_column
  const Contraction product = {
      .loops = {"batch", "row", "column", "channel", "filter", "kernel_row", "kernel_column"},
      .extents = {kBatch, h.output, w.output, kernel[0], kernel[1], h.size, w.size},
      .output_rank = 5,
      .left = {{{1, 0, 0, 0, 0, 0, 0}},
               {{0, h.stride, 0, 0, 0, h.dilation, 0}, -h.before},
               {{0, 0, w.stride, 0, 0, 0, w.dilation}, -w.before},
               {{0, 0, 0, 1, 0, 0, 0}}},
      .right = {{{0, 0, 0, 1, 0, 0, 0}}, {{0, 0, 0, 0, 1, 0, 0}}, {{0, 0, 0, 0, 0, 1, 0}}, {{0, 0, 0, 0, 0, 0, 1}}}};
  const Tensor result = reshape(contraction(call.inputs[0], call.inputs[1], product), call.type.shape);
  return call.inputs.size() == 3 ? result + call.inputs[2] : result;
}

Sample sample(Choices& choices) {
  const Shape x = choices.image();
  const WindowChoice window = random_window(choices, x, false);
  const DepthwiseConv2DOptions options = {.kernel = window.size,
                                          .strides = window.strides,
                                          .padding = window.padding,
                                          .dilation = window.dilation,
                                          .depth_multiplier = choices.integer(1, 3),
                                          .use_bias = choices.flip()};
  const auto both =
      windows("depthwise_conv2d", x, window.size, window.strides, window.dilation, window.padding, Location::here());
  return {.inputs = {{x}},
          .build = [options](const std::vector<Tensor>& in) { return depthwise_conv2d(in[0], options); },
          .flat = !reads_input(both[0]) || !reads_input(both[1])};
}

}  // namespace

const Operator depthwise_conv2d_operator = {
    .name = "depthwise_conv2d",
    .documentation =
        "Two-dimensional convolution of each channel with `depth_multiplier` filters of its own (Keras "
        "DepthwiseConv2D): N x "
        "h x w x c to N x h' x w' x (c * depth_multiplier). The kernel starts as Glorot uniform, the bias as zero.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "DepthwiseConv2D",
};

Tensor depthwise_conv2d(Tensor x, DepthwiseConv2DOptions options, Location location) {
  Graph& graph = x.graph();
  const LayerScope layer(graph, "depthwise_conv2d", location);
  const auto window = windows("depthwise_conv2d", x.shape(), options.kernel, options.strides, options.dilation,
                              options.padding, location);
  if (!has_batch(x.shape()))
    throw UserError(location, "depthwise_conv2d",
                    fmt::format("input must have the batch dimension, got {}", to_string(x.shape())));
  const int64_t channels = x.shape()[3], multiplier = options.depth_multiplier;
  if (multiplier < 1) {
    throw UserError(location, "depthwise_conv2d", fmt::format("depth_multiplier must be positive, got {}", multiplier));
  }
  const int64_t area = options.kernel[0] * options.kernel[1];
  const Initializer initializer =
      options.kernel_initializer.value_or(glorot_uniform(area * channels, area * multiplier));
  const Shape shape = {channels, multiplier, options.kernel[0], options.kernel[1]};
  const Tensor kernel = graph.parameter("kernel", shape, initializer, true, location);
  graph.regularize(kernel, options.kernel_l2);
  std::vector<Tensor> operands = {x, kernel};
  if (options.use_bias) operands.push_back(graph.parameter("bias", {channels * multiplier}, zeros(), true, location));
  return graph.append(depthwise_conv2d_operator, operands, {{"windows", encode(window)}}, location);
}

}  // namespace kiln
