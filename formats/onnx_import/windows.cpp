#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "onnx_import/rules.h"
#include "parameters.h"

namespace kiln::from_onnx {
namespace {

const Order kImage = {0, 3, 1, 2};  // ONNX's N x C x H x W in Kiln's N x H x W x C

/// A one-dimensional image as one of a single row.
Value image(Importer& importer, Call& call, bool& flat) {
  const Value& x = call.tensor_input(0);
  flat = x.rank() == 3;
  if ((x.rank() != 4 && !flat) || !x.batched()) {
    call.refuse(fmt::format("its input is {}; Kiln has images of one or two dimensions, with a batch and channels",
                            text(x.shape)));
  }
  return flat ? importer.with_shape(x, {kBatchExtent, x.shape[1], 1, x.shape[2]}) : x;
}

Value unflattened(Importer& importer, const Value& y, bool flat) {
  return flat ? importer.with_shape(y, {y.shape[0], y.shape[1], y.shape[3]}) : y;
}

std::vector<ImageWindow> windows(Call& call, const Value& x, Ints size, bool flat) {
  const size_t count = flat ? 1 : 2;
  const auto taken = [&](const char* name, size_t expected, int64_t otherwise, int64_t least) {
    const Ints values = call.integers(name).value_or(Ints(expected, otherwise));
    if (values.size() != expected)
      call.refuse(fmt::format("attribute {} has {} numbers, expected {}", name, values.size(), expected));
    for (const int64_t value : values) {
      if (value < least || value > kMost)
        call.refuse(fmt::format("attribute {} is {}, expected {} to {}", name, value, least, kMost));
    }
    return values;
  };
  Ints strides = taken("strides", count, 1, 1), dilations = taken("dilations", count, 1, 1),
       pads = taken("pads", 2 * count, 0, 0);
  const std::string automatic = call.text("auto_pad", "NOTSET");
  const bool ceil = call.integer("ceil_mode", 0) != 0;
  if (flat) {
    size.insert(size.begin(), 1);
    strides.insert(strides.begin(), 1);
    dilations.insert(dilations.begin(), 1);
    pads = {0, pads[0], 0, pads[1]};
  }
  std::vector<ImageWindow> result;
  for (size_t i = 0; i < 2; ++i) {
    ImageWindow w = {x.shape[i + 2], size[i], strides[i], dilations[i], pads[i], 0};
    int64_t after = pads[i + 2];
    if (w.size < 1 || w.size > kMost) call.refuse(fmt::format("has a window of {}", w.size));
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      const int64_t output = (w.input + w.stride - 1) / w.stride;
      const int64_t total = std::max<int64_t>((output - 1) * w.stride + w.reach() - w.input, 0);
      w.before = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      after = total - w.before;
    } else if (automatic == "VALID") {
      w.before = after = 0;
    } else if (automatic != "NOTSET") {
      call.refuse(fmt::format("attribute auto_pad is {}", printable(automatic)));
    }
    const int64_t room = w.input + w.before + after - w.reach();
    if (room < 0) call.refuse(fmt::format("a window of {} does not fit into {}", w.reach(), text(x.shape)));
    w.output = room / w.stride + 1;
    // One more that hangs over, if it begins inside.
    if (ceil && room % w.stride != 0 && w.output * w.stride < w.input + w.before) ++w.output;
    result.push_back(w);
  }
  return result;
}

Ints encode(const std::vector<ImageWindow>& windows) {
  Ints values;
  for (const ImageWindow& w : windows)
    values.insert(values.end(), {w.input, w.size, w.stride, w.dilation, w.before, w.output});
  return values;
}

Value pool(Importer& importer, Call& call, const std::string& op) {
  bool flat = false;
  const Value unpadded = image(importer, call, flat);
  Value x = unpadded;
  const std::optional<Ints> size = call.integers("kernel_shape");
  if (!size || size->size() != (flat ? 1U : 2U)) call.refuse("has no kernel_shape of its input's dimensions");
  std::vector<ImageWindow> w = windows(call, x, *size, flat);
  for (ImageWindow& each : w) {
    if (each.dilation != 1) call.refuse(fmt::format("attribute dilations has {}, Kiln's pooling has 1", each.dilation));
    if (each.before >= each.size || (each.output - 1) * each.stride - each.before >= each.input)
      call.refuse("a window would hold nothing but padding");
  }
  Ints sides;
  for (const ImageWindow& each : w) sides.insert(sides.end(), {each.before, each.after()});
  const Ints pads = call.integers("pads").value_or(Ints{});
  const bool padded = call.text("auto_pad", "NOTSET") != "NOTSET" ||
                      std::any_of(pads.begin(), pads.end(), [](int64_t amount) { return amount != 0; });
  if (op == "average_pool" && call.integer("count_include_pad", 0) != 0 && padded && sides != Ints{0, 0, 0, 0}) {
    // Zeros that count are elements. What only hangs over the end does not count.
    if (call.integer("ceil_mode", 0) != 0) call.refuse("attributes ceil_mode and count_include_pad are both 1");
    for (size_t i = 0; i < 2; ++i) {
      w[i].input += w[i].before + w[i].after();
      w[i].before = 0;
      x.shape[i + 2] = w[i].input;
    }
    const int node = importer.build.add("zero_padding2d", {importer.in_order(unpadded, kImage)}, {{"padding", sides}},
                                        in_graph(x.shape, kImage));
    x = {.shape = x.shape, .node = node, .order = kImage};
  }
  const Ints shape = {kBatchExtent, x.shape[1], w[0].output, w[1].output};
  const int node =
      importer.build.add(op, {importer.in_order(x, kImage)}, {{"windows", encode(w)}}, in_graph(shape, kImage));
  return unflattened(importer, {.shape = shape, .node = node, .order = kImage}, flat);
}

Value global_pool(Importer& importer, Call& call, const char* of_images, const char* of_others) {
  const Value& x = call.tensor_input(0);
  if (x.rank() < 3) call.refuse(fmt::format("its input is {}", text(x.shape)));
  Ints shape = x.shape;
  std::fill(shape.begin() + 2, shape.end(), 1);
  if (x.rank() == 4 && x.batched()) {
    const int node = importer.build.add(of_images, {importer.in_order(x, kImage)}, nlohmann::json::object(),
                                        {kBatchExtent, shape[1]});
    return {.shape = shape, .node = importer.reshaped(node, in_graph(shape, kImage)), .order = kImage};
  }
  Ints axes;
  for (size_t d = 2; d < x.rank(); ++d) axes.push_back(static_cast<int64_t>(x.order[d]));
  std::sort(axes.begin(), axes.end());
  return like(x, importer.build.add(of_others, {x.node}, {{"axes", axes}}, in_graph(shape, x.order)), shape);
}

}  // namespace

Value conv(Importer& importer, Call& call) {
  bool flat = false;
  const Value x = image(importer, call, flat);
  Array kernel = call.numbers(1, "kernel");
  if (kernel.shape.size() != (flat ? 3 : 4)) call.refuse("its kernel has another rank than its input");
  if (flat) kernel.shape.insert(kernel.shape.begin() + 2, 1);
  const Ints size(kernel.shape.begin() + (flat ? 3 : 2), kernel.shape.end());
  if (call.integers("kernel_shape").value_or(size) != size) call.refuse("attribute kernel_shape is not its kernel's");
  const int64_t channels = x.shape[1], filters = kernel.shape[0], groups = call.integer("group", 1);
  if (groups < 1 || channels % groups != 0 || filters % groups != 0 || kernel.shape[1] != channels / groups) {
    call.refuse(fmt::format("{} groups, {} channels and a kernel of {} do not fit together", groups, channels,
                            text(kernel.shape)));
  }
  const std::vector<ImageWindow> w = windows(call, x, size, flat);
  const int64_t area = w[0].size * w[1].size;
  nlohmann::json attributes = {{"windows", encode(w)}};
  const char* op = "conv2d";
  double scale = glorot(area * channels / groups, area * filters);
  if (groups == channels && groups > 1) {
    op = "depthwise_conv2d";
    const int64_t multiplier = filters / channels;
    kernel.shape = {channels, multiplier, kernel.shape[2], kernel.shape[3]};
    scale = glorot(area * channels, area * multiplier);
  } else {
    attributes["groups"] = groups;
    kernel = transposed(kernel, {0, 2, 3, 1});
  }
  std::vector<NetworkBuilder::Weight> weights = {{"kernel", std::move(kernel), 1, scale}};
  if (call.optional(2)) {
    weights.push_back({"bias", call.vector(2, "bias", filters)});
  } else if (std::optional<Array> bias = importer.added_bias(call, filters, flat ? 1 : 2)) {
    weights.push_back({"bias", std::move(*bias)});
  }
  const Ints shape = {kBatchExtent, filters, w[0].output, w[1].output};
  const int node = importer.build.add_layer(op, importer.in_order(x, kImage), std::move(weights), attributes,
                                            in_graph(shape, kImage));
  return unflattened(importer, {.shape = shape, .node = node, .order = kImage}, flat);
}

Value max_pool(Importer& importer, Call& call) {
  call.require("storage_order", 0);
  return pool(importer, call, "max_pool");
}

Value average_pool(Importer& importer, Call& call) { return pool(importer, call, "average_pool"); }

Value global_max_pool(Importer& importer, Call& call) {
  return global_pool(importer, call, "global_max_pool", "reduce_max");
}

Value global_average_pool(Importer& importer, Call& call) {
  return global_pool(importer, call, "global_average_pool", "reduce_mean");
}

}  // namespace kiln::from_onnx
