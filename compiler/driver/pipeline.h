#pragma once

#include "codegen/model.h"

namespace kiln {

/// From the user's graph to fused and planned programs: the whole compiler but for code generation, one stage after the
/// other.
Model build_model(const Graph& graph);

}  // namespace kiln
