#pragma once

#include "codegen/model.h"

namespace kiln {

/// The passes that change how something is computed, not what: tests leave out one after the other and compare.
struct Passes {
  bool simplify = true;
  bool split_sums = true;
  bool hoist_parameters = true;
  bool feature_weights = true;
  bool fuse = true;              // without it, every node is a kernel
  bool in_place_updates = true;  // without them, every update is a copy after the step
};

/// From the user's graph to fused and planned programs: the whole compiler but for code generation, one stage after the
/// other.
Model build_model(const Graph& graph, const Passes& passes = {});

}  // namespace kiln
