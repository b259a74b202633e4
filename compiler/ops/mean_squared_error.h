#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator mean_squared_error_operator;

/// The mean of (prediction - target)^2 over all elements of the batch's rows: a scalar.
Tensor mean_squared_error(Tensor prediction, Tensor target, Location location = Location::here());

}  // namespace kiln
