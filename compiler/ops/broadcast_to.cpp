#include "ops/broadcast_to.h"

#include "ops/definition.h"
#include "ops/elementwise.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto& shape = call.attribute<std::vector<int64_t>>("shape");
  const Broadcast both = broadcast(same_type(call).shape, shape);
  if (!both.ok || both.shape != shape) {
    call.fail(fmt::format("{} does not stretch to {}", to_string(call.shape(0)), to_string(shape)));
  }
  return {shape, ElementType::real};
}

bool is_new_batch(const Shape& from, const Shape& to) { return has_batch(to) && !has_batch(from); }

Definition define(const Call& call) {
  const bool masked = is_new_batch(call.shape(0), call.attribute<std::vector<int64_t>>("shape")) &&
                      call.attributes.count("every_row") == 0;
  return map([masked](const Operands& in, const Index& at) {
    const Halide::Expr value = in.broadcast(0, at);
    return masked ? Halide::select(at[0] < in.count(), value, in.constant(0)) : value;
  });
}

std::vector<Tensor> gradient(const GradientCall& call) { return {sum_to(call.cotangent, call.inputs[0].shape())}; }

Sample sample(Choices& choices) {
  const Shape shape = choices.any_shape();
  return {.inputs = {{choices.stretchable_to(shape)}},
          .build = [shape](const std::vector<Tensor>& in) { return broadcast_to(in[0], {.shape = shape}); }};
}

}  // namespace

const Operator broadcast_to_operator = {
    .name = "broadcast_to",
    .documentation = "Stretches x to `shape` as NumPy's broadcast_to does.",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor broadcast_to(Tensor x, BroadcastOptions options, Location location) {
  Attributes attributes = {{"shape", options.shape}};
  if (is_new_batch(x.shape(), options.shape)) attributes["every_row"] = true;
  return x.graph().append(broadcast_to_operator, {x}, std::move(attributes), location);
}

Tensor broadcast_to_data(Tensor x, BroadcastOptions options) {
  return x.graph().append(broadcast_to_operator, {x}, {{"shape", options.shape}}, Location::here());
}

}  // namespace kiln
