#include "ops/transpose.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "ops/definition.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto& axes = call.attribute<std::vector<int64_t>>("axes");
  const Shape& x = call.shape(0);
  for (size_t i = 0; i < std::max(axes.size(), x.size()); ++i) {
    if (axes.size() != x.size() || std::count(axes.begin(), axes.end(), static_cast<int64_t>(i)) != 1) {
      call.fail(fmt::format("axes must name each of the {} dimensions of {} once, got {{{}}}", x.size(), to_string(x),
                            fmt::join(axes, ", ")));
    }
  }
  if (has_batch(x) && axes[0] != 0) call.fail("the batch must stay the first dimension: axes[0] = 0");
  Shape shape;
  for (const int64_t axis : axes) shape.push_back(x[axis]);
  return {shape, call.inputs[0].element};
}

Definition define(const Call& call) {
  const auto axes = call.attribute<std::vector<int64_t>>("axes");
  const auto rule = [axes](const Operands& in, const Index& at) {
    Index index(at.size());
    for (size_t i = 0; i < axes.size(); ++i) index[axes[i]] = at[i];
    return in.read(0, index);
  };
  return gathering(map(rule), {0});
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const auto& axes = std::get<std::vector<int64_t>>(call.attributes.at("axes"));
  std::vector<int64_t> inverse(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) inverse[axes[i]] = static_cast<int64_t>(i);
  return {transpose(call.cotangent, {.axes = inverse})};
}

Sample sample(Choices& choices) {
  const Shape x = choices.any_shape(1);
  TransposeOptions options;
  for (int64_t i = 0; i < std::ssize(x); ++i) {
    const int64_t first = has_batch(x) ? 1 : 0;
    options.axes.insert(options.axes.begin() + (i < first ? 0 : choices.integer(std::min(i, first), i)), i);
  }
  return {.inputs = {{x}}, .build = [options](const std::vector<Tensor>& in) { return transpose(in[0], options); }};
}

}  // namespace

const Operator transpose_operator = {
    .name = "transpose",
    .documentation =
        "The dimensions in another order (NumPy transpose): dimension i of the result is dimension `axes`[i] of x. The "
        "batch "
        "stays first.",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "Permute",
};

Tensor transpose(Tensor x, TransposeOptions options, Location location) {
  return x.graph().append(transpose_operator, {x}, {{"axes", options.axes}}, location);
}

}  // namespace kiln
