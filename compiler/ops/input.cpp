#include "ops/input.h"

#include "ir/name.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  return {call.attribute<std::vector<int64_t>>("shape"),
          call.attribute<bool>("integer") ? ElementType::int32 : ElementType::real};
}

}  // namespace

const Operator input_operator = {
    .name = "input",
    .documentation =
        "A value that the program is given with each batch: `g.input(\"image\", {28, 28, 1})` for real numbers, "
        "`g.label(\"digit\", 10)` for classes.",
    .type = type,
    .layer = "Input",
};

Tensor input(Graph& graph, const std::string& name, Type type, Location location) {
  check_name(name, "input", location);
  for (const Node& node : graph.nodes) {
    if (node.op == &input_operator && std::get<std::string>(node.attributes.at("name")) == name)
      throw UserError(location, "input", fmt::format("'{}' is there already", name));
  }
  return graph.append(input_operator, {},
                      {{"name", name}, {"shape", type.shape}, {"integer", type.element == ElementType::int32}},
                      location);
}

}  // namespace kiln
