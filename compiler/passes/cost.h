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

/// What one core does at best: the roofline's two lines. The defaults are those of a server core of these years.
struct CoreLimits {
  double multiply_adds_per_cycle = 2;  // of whole vectors
  double cycles_per_second = 3.5e9;
  double bytes_per_second = 24e9;  // to and from memory behind the core's own caches
  double flops_per_second(int vector) const { return 2 * multiply_adds_per_cycle * vector * cycles_per_second; }
};

/// The roofline: the longer of computing and of moving the bytes, with `threads` cores and vectors of `vector`
/// elements.
double roofline_seconds(const KernelCost& cost, int vector, int threads, const CoreLimits& limits = {});

/// The nodes that a kernel computes, in order.
std::vector<NodeId> nodes_inside(const Program& program, const Kernel& kernel);

}  // namespace kiln
