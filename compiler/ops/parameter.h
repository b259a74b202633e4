#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator parameter_operator;

/// A tensor of the program's state; layers call Graph::parameter, which adds the layer's name.
Tensor parameter(Graph& graph, const std::string& name, Shape shape, Initializer initializer, bool trainable,
                 Location location = Location::here());

}  // namespace kiln
