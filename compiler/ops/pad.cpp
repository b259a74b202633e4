#include "ops/pad.h"

#include <algorithm>
#include <limits>

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/slice.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto &before = call.attribute<std::vector<int64_t>>("before"),
             &after = call.attribute<std::vector<int64_t>>("after");
  Shape shape = same_type(call).shape;
  if (before.size() != shape.size() || after.size() != shape.size()) {
    call.fail(fmt::format("before and after must have {} numbers, one for each dimension of {}, got {} and {}",
                          shape.size(), to_string(shape), before.size(), after.size()));
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (before[i] < 0 || after[i] < 0) call.fail("padding must not be negative; slice() takes elements away");
    if (before[i] == 0 && after[i] == 0) continue;
    if (std::max(before[i], after[i]) > std::numeric_limits<int32_t>::max()) call.fail("padding is too large");
    if (shape[i] == kBatch) call.fail("the batch dimension cannot be padded");
    shape[i] += before[i] + after[i];
  }
  return {shape, ElementType::real};
}

Definition define(const Call& call) {
  const auto before = call.attribute<std::vector<int64_t>>("before");
  const auto rule = [before](const Operands& in, const Index& at) {
    Index index = at;
    for (size_t i = 0; i < index.size(); ++i) {
      if (before[i] != 0) index[i] -= static_cast<int>(before[i]);
    }
    return in.read_or(0, index, in.constant(0));
  };
  return gathering(map(rule, 4), {0});
}

std::vector<Tensor> gradient(const GradientCall& call) {
  return {slice(call.cotangent, {.begin = std::get<std::vector<int64_t>>(call.attributes.at("before")),
                                 .size = call.inputs[0].shape()})};
}

Sample sample(Choices& choices) {
  const Shape x = choices.any_shape(1);
  PadOptions options = {std::vector<int64_t>(x.size(), 0), std::vector<int64_t>(x.size(), 0)};
  for (size_t i = has_batch(x) ? 1 : 0; i < x.size(); ++i) {
    options.before[i] = choices.integer(0, 2);
    options.after[i] = choices.integer(0, 2);
  }
  return {.inputs = {{x}}, .build = [options](const std::vector<Tensor>& in) { return pad(in[0], options); }};
}

}  // namespace

const Operator pad_operator = {
    .name = "pad",
    .documentation = "x surrounded by `before` and `after` zeros in each dimension (NumPy pad, ONNX Pad).",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor pad(Tensor x, PadOptions options, Location location) {
  return x.graph().append(pad_operator, {x}, {{"before", options.before}, {"after", options.after}}, location);
}

}  // namespace kiln
