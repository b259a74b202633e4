#include "passes/cost.h"

#include <algorithm>
#include <set>

#include "ops/definition.h"

namespace kiln {

double node_flops(const Graph& graph, const Node& node, int64_t batch) {
  if (node.op->define == nullptr || node.inputs.empty()) return 0;
  const Definition definition = node.op->define(graph.call(node));
  double count = static_cast<double>(element_count(node.type.shape, batch));
  if (definition.contraction) {
    count = 2;
    for (int64_t extent : definition.contraction->extents)
      count *= static_cast<double>(extent == kBatch ? batch : extent);
  } else if (definition.fold != Fold::none) {
    count *= static_cast<double>(element_count(definition.extents, batch));
  }
  return count;
}

std::vector<NodeId> nodes_inside(const Program& program, const Kernel& kernel) {
  const std::set<NodeId> outside(kernel.leaves.begin(), kernel.leaves.end());
  std::set<NodeId> inside;
  std::vector<NodeId> pending = kernel.roots;
  while (!pending.empty()) {
    const NodeId id = pending.back();
    pending.pop_back();
    if (outside.count(id) || !inside.insert(id).second) continue;
    for (NodeId input : program.graph.node(id).inputs) pending.push_back(input);
  }
  return {inside.begin(), inside.end()};
}

KernelCost cost(const Program& program, const Kernel& kernel) {
  KernelCost total;
  for (NodeId id : nodes_inside(program, kernel))
    total.flops += node_flops(program.graph, program.graph.node(id), program.batch);
  for (const auto* buffers : {&kernel.leaves, &kernel.roots}) {
    for (NodeId id : *buffers) {
      total.bytes += static_cast<double>(byte_count(program.graph.node(id).type, program.batch));
    }
  }
  return total;
}

double roofline_seconds(const KernelCost& cost, int vector, int threads, const CoreLimits& limits) {
  return std::max(cost.flops / limits.flops_per_second(vector), cost.bytes / limits.bytes_per_second) / threads;
}

}  // namespace kiln
