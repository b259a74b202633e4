#include "ops/conv2d.h"

#include "ops/add.h"
#include "ops/contraction.h"
#include "ops/reshape.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  return {{kBatch, windows[0].output, windows[1].output, call.shape(1)[0]}, ElementType::real};
}

// Groups become a dimension of their own: N x h x w x g x c/g with g x f/g x kh x kw x c/g, which are views.
Tensor expand(const ExpandCall& call) {
  const auto windows = decode_windows(std::get<std::vector<int64_t>>(call.attributes.at("windows")));
  const int64_t groups = std::get<int64_t>(call.attributes.at("groups"));
  const Window h = windows[0], w = windows[1];
  const Shape kernel = call.inputs[1].shape();
  const int64_t filters = kernel[0], channels = kernel[3];
  Tensor result;
  if (groups == 1) {
    // loops: batch row column filter | kernel_row kernel_column channel
    const Contraction product = {
        .loops = {"batch", "row", "column", "filter", "kernel_row", "kernel_column", "channel"},
        .extents = {kBatch, h.output, w.output, filters, h.size, w.size, channels},
        .output_rank = 4,
        .left = {{{1, 0, 0, 0, 0, 0, 0}},
                 {{0, h.stride, 0, 0, h.dilation, 0, 0}, -h.before},
                 {{0, 0, w.stride, 0, 0, w.dilation, 0}, -w.before},
                 {{0, 0, 0, 0, 0, 0, 1}}},
        .right = {{{0, 0, 0, 1, 0, 0, 0}}, {{0, 0, 0, 0, 1, 0, 0}}, {{0, 0, 0, 0, 0, 1, 0}}, {{0, 0, 0, 0, 0, 0, 1}}}};
    result = contraction(call.inputs[0], call.inputs[1], product);
  } else {
    const Tensor x = reshape(call.inputs[0], {kBatch, h.input, w.input, groups, channels});
    const Tensor k = reshape(call.inputs[1], {groups, filters / groups, h.size, w.size, channels});
    // loops: batch row column group filter | kernel_row kernel_column channel
    const Contraction product = {
        .loops = {"batch", "row", "column", "group", "filter", "kernel_row", "kernel_column", "channel"},
        .extents = {kBatch, h.output, w.output, groups, filters / groups, h.size, w.size, channels},
        .output_rank = 5,
        .left = {{{1, 0, 0, 0, 0, 0, 0, 0}},
                 {{0, h.stride, 0, 0, 0, h.dilation, 0, 0}, -h.before},
                 {{0, 0, w.stride, 0, 0, 0, w.dilation, 0}, -w.before},
                 {{0, 0, 0, 1, 0, 0, 0, 0}},
                 {{0, 0, 0, 0, 0, 0, 0, 1}}},
        .right = {{{0, 0, 0, 1, 0, 0, 0, 0}},
                  {{0, 0, 0, 0, 1, 0, 0, 0}},
                  {{0, 0, 0, 0, 0, 1, 0, 0}},
                  {{0, 0, 0, 0, 0, 0, 1, 0}},
                  {{0, 0, 0, 0, 0, 0, 0, 1}}}};
    result = reshape(contraction(x, k, product), call.type.shape);
  }
  return call.inputs.size() == 3 ? result + call.inputs[2] : result;
}

Sample sample(Choices& choices) {
  Shape x = choices.image();
  const int64_t area = x[1] * x[2], groups = choices.integer(1, 3);
  x[3] = groups * choices.extent(choices.elements() / area / groups);
  const WindowChoice window = random_window(choices, x, false);
  const Conv2DOptions options = {.filters = groups * choices.extent(choices.elements() / area / groups),
                                 .kernel = window.size,
                                 .strides = window.strides,
                                 .padding = window.padding,
                                 .dilation = window.dilation,
                                 .groups = groups,
                                 .use_bias = choices.flip()};
  const auto both =
      windows("conv2d", x, window.size, window.strides, window.dilation, window.padding, Location::here());
  return {.inputs = {{x}},
          .build = [options](const std::vector<Tensor>& in) { return conv2d(in[0], options); },
          .flat = !reads_input(both[0]) || !reads_input(both[1])};
}

}  // namespace

const Operator conv2d_operator = {
    .name = "conv2d",
    .documentation =
        "Two-dimensional convolution (Keras Conv2D, ONNX Conv; correlation as there) with strides, valid, same or "
        "explicit "
        "padding, dilation and groups: N x h x w x c to N x h' x w' x filters. The kernel starts as Glorot uniform, "
        "the "
        "bias as zero.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "Conv2D",
};

Tensor conv2d(Tensor x, Conv2DOptions options, Location location) {
  Graph& graph = x.graph();
  const LayerScope layer(graph, "conv2d", location);
  const auto fail = [&](const std::string& message) { throw UserError(location, "conv2d", message); };
  const auto window =
      windows("conv2d", x.shape(), options.kernel, options.strides, options.dilation, options.padding, location);
  if (!has_batch(x.shape())) fail(fmt::format("input must have the batch dimension, got {}", to_string(x.shape())));
  const int64_t channels = x.shape()[3], groups = options.groups;
  if (options.filters < 1) fail(fmt::format("filters must be positive, got {}", options.filters));
  if (groups < 1 || channels % groups != 0 || options.filters % groups != 0) {
    fail(fmt::format("{} groups must divide the {} channels of the input and the {} filters", groups, channels,
                     options.filters));
  }
  const int64_t area = options.kernel[0] * options.kernel[1];
  const Initializer initializer =
      options.kernel_initializer.value_or(glorot_uniform(area * channels / groups, area * options.filters));
  const Shape shape = {options.filters, options.kernel[0], options.kernel[1], channels / groups};
  const Tensor kernel = graph.parameter("kernel", shape, initializer, true, location);
  graph.regularize(kernel, options.kernel_l2);
  std::vector<Tensor> operands = {x, kernel};
  if (options.use_bias) operands.push_back(graph.parameter("bias", {options.filters}, zeros(), true, location));
  return graph.append(conv2d_operator, operands, {{"windows", encode(window)}, {"groups", groups}}, location);
}

}  // namespace kiln
