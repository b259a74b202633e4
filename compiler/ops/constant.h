#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator constant_operator;

/// One number, broadcast to where it is used.
Tensor constant(Graph& graph, double value, Location location = Location::here());

}  // namespace kiln
