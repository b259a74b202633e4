#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator scalar_operator;

/// A number that the runtime passes to each step; rules call Graph::scalar, which makes one node a name.
Tensor scalar(Graph& graph, const std::string& name, Location location = Location::here());

}  // namespace kiln
