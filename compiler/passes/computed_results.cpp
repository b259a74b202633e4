#include "passes/computed_results.h"

#include <map>

#include "ops/stop_gradient.h"
#include "passes/program.h"

namespace kiln {

Graph with_computed_results(Graph graph) {
  std::map<NodeId, NodeId> copies;
  const auto computed = [&](NodeId id) {
    if (!is_source(graph.node(resolve_view(graph, id)))) return id;
    const auto [known, fresh] = copies.try_emplace(id, id);
    if (fresh) {
      const Node node = graph.node(id);
      graph.scope = Graph::Scope{node.location, node.layer, node.role};
      known->second = stop_gradient(Tensor(&graph, id)).id();
      graph.scope.reset();
    }
    return known->second;
  };
  for (Output& output : graph.outputs) output.node = computed(output.node);
  for (Output& metric : graph.metrics) metric.node = computed(metric.node);
  if (graph.loss) graph.loss = computed(*graph.loss);
  for (Update& update : graph.updates) update.value = computed(update.value);
  return graph;
}

}  // namespace kiln
