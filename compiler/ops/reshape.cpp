#include "ops/reshape.h"

#include "ops/definition.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto& shape = call.attribute<std::vector<int64_t>>("shape");
  if (has_batch(shape) != has_batch(call.shape(0)) || element_count(shape) != element_count(call.shape(0))) {
    call.fail(fmt::format("{} elements do not fit into {}", to_string(call.shape(0)), to_string(shape)));
  }
  return {shape, call.inputs[0].element};
}

// Storage is row-major beside the batch, so the lowering makes this a view; the definition is for the reference.
Definition define(const Call& call) {
  const Shape from = call.shape(0), to = call.attribute<std::vector<int64_t>>("shape");
  return map([from, to](const Operands& in, const Index& at) {
    const size_t first = has_batch(to) ? 1 : 0;
    Halide::Expr linear = 0;
    for (size_t i = first; i < to.size(); ++i) linear = linear * static_cast<int>(to[i]) + at[i];
    Index index(from.size());
    for (size_t i = from.size(); i-- > first;) {
      index[i] = i == first ? linear : linear % static_cast<int>(from[i]);
      linear = linear / static_cast<int>(from[i]);
    }
    if (first) index[0] = at[0];
    return in.read(0, index);
  });
}

std::vector<Tensor> gradient(const GradientCall& call) { return {reshape(call.cotangent, call.inputs[0].shape())}; }

Sample sample(Choices& choices) {
  const Shape x = choices.any_shape();
  Shape shape(has_batch(x) ? 1 : 0, kBatch);
  int64_t rest = element_count(x);
  for (int64_t divisor : {2, 3, 5}) {
    if (rest % divisor != 0 || !choices.flip()) continue;
    shape.push_back(divisor);
    rest /= divisor;
  }
  if (rest != 1 || choices.flip()) shape.push_back(rest);
  return {.inputs = {{x}}, .build = [shape](const std::vector<Tensor>& in) { return reshape(in[0], shape); }};
}

}  // namespace

const Operator reshape_operator = {
    .name = "reshape",
    .documentation = "The same elements in row-major order under another shape (ONNX Reshape); costs nothing.",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "Reshape",
};

Tensor reshape(Tensor x, Shape shape, Location location) {
  return x.graph().append(reshape_operator, {x}, {{"shape", std::move(shape)}}, location);
}

}  // namespace kiln
