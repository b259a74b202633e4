#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator reshape_operator;

/// The same elements in row-major order under another shape, which includes the batch (kBatch) where x has one.
Tensor reshape(Tensor x, Shape shape, Location location = Location::here());

}  // namespace kiln
