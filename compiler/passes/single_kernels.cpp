#include <algorithm>

#include "ops/constant.h"
#include "ops/contraction.h"
#include "ops/reshape.h"
#include "passes/program.h"

namespace kiln {

std::vector<Kernel> single_kernels(const Graph& graph) {
  // A constant is an expression, unless something needs it in memory.
  std::vector<bool> stored(graph.nodes.size(), false);
  const auto store = [&](NodeId id) { stored[static_cast<size_t>(resolve_view(graph, id))] = true; };
  for (const Output& output : graph.outputs) store(output.node);
  for (const Output& metric : graph.metrics) store(metric.node);
  if (graph.loss) store(*graph.loss);
  for (const Update& update : graph.updates) store(update.value);
  for (const Node& node : graph.nodes) {
    if (node.op != &constant_operator) store(node.id);
    if (node.op != &reshape_operator && node.op != &contraction_operator) continue;
    for (NodeId input : node.inputs) store(input);
  }
  std::vector<Kernel> kernels;
  std::map<std::string, int> used;
  for (const Node& node : graph.nodes) {
    if (is_source(node) || node.op == &reshape_operator || !stored[static_cast<size_t>(node.id)]) continue;
    Kernel kernel;
    const std::string name = (node.layer.empty() ? node.op->name : node.layer) + "." + to_string(node.role);
    const int count = used[name]++;
    kernel.name = count == 0 ? name : fmt::format("{}_{}", name, count + 1);
    kernel.anchors = kernel.roots = {node.id};
    for (NodeId input : node.inputs) {
      if (stored[static_cast<size_t>(resolve_view(graph, input))]) kernel.leaves.push_back(input);
    }
    std::sort(kernel.leaves.begin(), kernel.leaves.end());
    kernel.leaves.erase(std::unique(kernel.leaves.begin(), kernel.leaves.end()), kernel.leaves.end());
    kernel.fused = {{node.id, "a kernel of its own; stored"}};
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

}  // namespace kiln
