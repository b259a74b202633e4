#include "ops/scalar.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto& name = call.attribute<std::string>("name");
  if (name == "learning_rate" || name == "count" || name == "label_smoothing") return {{}, ElementType::real};
  if (name == "step" || name == "seed") return {{}, ElementType::int32};
  call.fail("there is no scalar '" + name + "'; there are learning_rate, count, label_smoothing, step and seed");
}

}  // namespace

const Operator scalar_operator = {
    .name = "scalar",
    .documentation =
        "A number that the runtime passes to each step: `learning_rate`, `label_smoothing` and `count` (the rows of "
        "this batch that hold data) as real numbers, `step` (steps done so far) and `seed` as int32.",
    .type = type,
};

Tensor scalar(Graph& graph, const std::string& name, Location location) {
  return graph.append(scalar_operator, {}, {{"name", name}}, location);
}

}  // namespace kiln
