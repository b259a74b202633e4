#pragma once

#include "ir/graph.h"

namespace kiln {

/// Rewrites a graph for prediction so that arithmetic between an activation and parameters happens to the parameters,
/// where it is done once (Program::prepared): (x - m) * s + b is x * s + (b - m * s), and a contraction times a scale
/// of its features is a contraction with scaled weights. So batch normalisation after a convolution disappears in it,
/// and anywhere else it is one multiply-add.
Graph hoist_parameters(const Graph& graph);

}  // namespace kiln
