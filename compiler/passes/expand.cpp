#include "passes/expand.h"

#include <algorithm>

#include "passes/rewrite.h"

namespace kiln {

Graph expand(const Graph& graph, bool training) {
  Graph result = graph;
  const auto composite = [](const Node& node) { return node.op->expand != nullptr; };
  // An expansion may be written in composites again; each round takes one level off.
  do {
    result = rewrite(result, [&](Graph& next, const Node& node, const std::vector<Tensor>& inputs) {
      if (!composite(node)) return copy_node(next, node, inputs);
      const Tensor value = node.op->expand({next, inputs, node.attributes, node.type, training});
      if (value.shape() != node.type.shape) {
        throw InternalError(fmt::format("{} expands to {}, not to its type {}", node.op->name, to_string(value.shape()),
                                        to_string(node.type.shape)));
      }
      return value;
    });
  } while (std::any_of(result.nodes.begin(), result.nodes.end(), composite));
  if (!training) result.updates.clear();
  return without_dead_nodes(result);
}

}  // namespace kiln
