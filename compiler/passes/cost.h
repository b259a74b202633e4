#pragma once

#include "passes/program.h"

namespace kiln {

/// Floating-point operations of a primitive node: a multiply-add counts as two, padding's zeros are included, anything
/// else is one a result or folded element.
double node_flops(const Graph& graph, const Node& node, int64_t batch);

/// Operations and memory traffic of one kernel at a full batch, each buffer read or written once.
struct KernelCost {
  double flops = 0, bytes = 0;
};
KernelCost cost(const Program& program, const Kernel& kernel);

/// The nodes that a kernel computes, in order.
std::vector<NodeId> nodes_inside(const Program& program, const Kernel& kernel);

}  // namespace kiln
