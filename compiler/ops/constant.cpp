#include "ops/constant.h"

#include "ops/definition.h"

namespace kiln {
namespace {

Definition define(const Call& call) {
  const double value = call.attribute<double>("value");
  return map([value](const Operands& in, const Index&) { return in.constant(value); });
}

}  // namespace

const Operator constant_operator = {
    .name = "constant",
    .documentation = "One number, broadcast to where it is used.",
    .type = [](const Call&) -> Type { return {}; },
    .define = define,
};

Tensor constant(Graph& graph, double value, Location location) {
  return graph.append(constant_operator, {}, {{"value", value}}, location);
}

}  // namespace kiln
