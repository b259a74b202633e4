#pragma once

#include <map>

#include "ir/graph.h"

namespace kiln {

/// Where the state block keeps one parameter; shared by all programs of a model.
struct StateEntry {
  std::string name;
  int64_t offset = 0;  // bytes
  int64_t count = 0;   // f32 elements
};

/// Weights first, then moving statistics, then optimizer state: prediction needs a leading part only.
struct StateLayout {
  std::vector<NodeId> parameters;  // of the graph it was made from, in the block's order
  std::map<std::string, StateEntry> entries;
  int64_t bytes = 0, weight_bytes = 0;
};
StateLayout layout_state(const Graph& training_graph);

/// A node that a kernel computes, and why there.
struct FusedNode {
  NodeId node;
  std::string reason;
};

/// A group of nodes that one Halide pipeline computes.
struct Kernel {
  std::string name;              // "conv2d_1.weight_gradient", unique in the program
  std::vector<NodeId> anchors;   // contraction (and the pooling window after it), or the folds of one domain, or the
                                 // root of element-wise work
  std::vector<NodeId> roots;     // values it writes; every other node in it is an expression
  std::vector<NodeId> row_sums;  // the last of the roots, where there are any: sums within each row of the first root
  std::vector<NodeId> leaves;    // values it reads: buffers, views of buffers and scalars
  std::vector<FusedNode> fused = {};                 // all that it computes, in order: for people
  std::map<std::string, std::string> schedule = {};  // knobs that somebody set (schedule/knobs.h)
};

/// Where a node's value is while a program runs.
struct Placement {
  enum class Kind { expression, arena, state, scalar } kind = Kind::expression;
  int64_t offset = 0;  // bytes in the arena or the state block
};

/// An update that cannot be written in place, because its old value is still read: copied when the step is done.
struct Copy {
  NodeId from;
  int64_t state_offset, bytes;
};

/// A graph fused into kernels, ordered, every buffer at a fixed offset.
struct Program {
  std::string name;
  Graph graph;
  int64_t batch = 64, lanes = 64;  // rows, and rows rounded up to whole vectors
  Precision precision = Precision::f32;
  std::vector<Kernel> kernels;        // in the order of the step
  int prepared = 0;                   // the first so many run once for given weights, before any step
  std::vector<Placement> placements;  // by node; a view has its source's
  std::vector<Copy> copies;
  int64_t arena_bytes = 0;
};

/// The widest batch vector in elements: batched storage is padded to a multiple of it.
inline constexpr int64_t kVectorLanes = 16;

/// Groups the nodes of a primitive graph into kernels; see fuse.cpp for the rules.
std::vector<Kernel> fuse(const Graph& graph, int64_t batch);

/// The same without fusion: every node but constants and views is a kernel of its own.
std::vector<Kernel> single_kernels(const Graph& graph);

/// Rows of batched storage: the batch rounded up to whole vectors.
int64_t padded_rows(int64_t batch);

/// Orders kernels and places buffers. Where the graph updates nothing, kernels that depend on parameters only come
/// first and are prepared: their results stay in the arena. `lanes` is padded_rows(batch), or 1 for a program of one
/// row. Without `in_place`, every update is a copy after the step.
Program plan(const std::string& name, const Graph& graph, std::vector<Kernel> kernels, const StateLayout& state,
             int64_t batch, int64_t lanes, bool in_place = true);
inline Program plan(const std::string& name, const Graph& graph, std::vector<Kernel> kernels, const StateLayout& state,
                    int64_t batch) {
  return plan(name, graph, std::move(kernels), state, batch, padded_rows(batch));
}

/// The buffer behind a view; the node itself otherwise.
NodeId resolve_view(const Graph& graph, NodeId id);

/// Throws InternalError unless every value is produced before it is read, no two live buffers overlap, offsets are
/// aligned and inside, kernels are complete, results live to the end of the step, and every update reaches its
/// parameter exactly once.
void verify(const Program& program, const StateLayout& state);

}  // namespace kiln
