#include "ops/parameter.h"

#include "ir/name.h"

namespace kiln {
namespace {

Type type(const Call& call) { return {call.attribute<std::vector<int64_t>>("shape"), ElementType::real}; }

}  // namespace

const Operator parameter_operator = {
    .name = "parameter",
    .documentation =
        "A tensor of the program's state: a weight, a moving statistic or optimizer state, with the initializer "
        "that fills it first.",
    .type = type,
};

Tensor parameter(Graph& graph, const std::string& name, Shape shape, Initializer initializer, bool trainable,
                 Location location) {
  check_name(name, "parameter", location);
  for (const Node& node : graph.nodes) {
    if (node.op == &parameter_operator && std::get<std::string>(node.attributes.at("name")) == name)
      throw UserError(location, "parameter", fmt::format("'{}' is there already", name));
  }
  return graph.append(parameter_operator, {},
                      {{"name", name},
                       {"shape", std::move(shape)},
                       {"initializer", static_cast<int64_t>(initializer.kind)},
                       {"scale", initializer.scale},
                       {"trainable", trainable}},
                      location);
}

}  // namespace kiln
