#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator input_operator;

/// A value that the program is given with each batch; graph files call Graph::input and Graph::label.
Tensor input(Graph& graph, const std::string& name, Type type, Location location = Location::here());

}  // namespace kiln
