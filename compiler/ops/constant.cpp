#include "ops/constant.h"

#include "ops/definition.h"
#include "ops/multiply.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  const double value = call.attribute<double>("value");
  return map([value](const Operands& in, const Index&) { return in.constant(value); });
}

Sample sample(Choices& choices) {
  const double value = choices.pick({1.0, 0.0, -0.3});
  return {.inputs = {{choices.any_shape()}},
          .build = [value](const std::vector<Tensor>& in) { return in[0] * constant(in[0].graph(), value); },
          .flat = value == 0};
}

}  // namespace

const Operator constant_operator = {
    .name = "constant",
    .documentation = "One number, broadcast to where it is used.",
    .type = [](const Call&) -> Type { return {}; },
    .define = define,
    .sample = sample,
};

Tensor constant(Graph& graph, double value, Location location) {
  return graph.append(constant_operator, {}, {{"value", value}}, location);
}

}  // namespace kiln
