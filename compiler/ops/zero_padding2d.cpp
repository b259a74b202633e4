#include "ops/zero_padding2d.h"

#include "ops/elementwise.h"
#include "ops/pad.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto& padding = call.attribute<std::vector<int64_t>>("padding");
  Shape shape = same_type(call).shape;
  if (shape.size() != 4) {
    call.fail(fmt::format("input must have rank 4 (batch, height, width, channels), got {}", to_string(shape)));
  }
  if (padding.size() != 4) {
    call.fail(
        fmt::format("padding must be one number or {{top, bottom, left, right}}, got {} numbers", padding.size()));
  }
  for (const int64_t amount : padding) {
    if (amount < 0) call.fail(fmt::format("padding must not be negative, got {}", amount));
  }
  shape[1] += padding[0] + padding[1];
  shape[2] += padding[2] + padding[3];
  return {shape, ElementType::real};
}

Tensor expand(const ExpandCall& call) {
  const auto& padding = std::get<std::vector<int64_t>>(call.attributes.at("padding"));
  return pad(call.inputs[0], {.before = {0, padding[0], padding[2], 0}, .after = {0, padding[1], padding[3], 0}});
}

Sample sample(Choices& choices) {
  std::vector<int64_t> padding;
  for (int64_t count = choices.flip() ? 4 : 1; count > 0; --count) padding.push_back(choices.integer(0, 3));
  return {.inputs = {{choices.image()}},
          .build = [padding](const std::vector<Tensor>& in) { return zero_padding2d(in[0], {.padding = padding}); }};
}

}  // namespace

const Operator zero_padding2d_operator = {
    .name = "zero_padding2d",
    .documentation =
        "Zeros around the image (Keras ZeroPadding2D): `padding` is one number for all sides, or top, bottom, left and "
        "right.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "ZeroPadding2D",
};

Tensor zero_padding2d(Tensor x, ZeroPadding2DOptions options, Location location) {
  if (options.padding.size() == 1) options.padding.resize(4, options.padding[0]);
  return x.graph().append(zero_padding2d_operator, {x}, {{"padding", options.padding}}, location);
}

}  // namespace kiln
