#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator categorical_accuracy_operator;

/// The part of the batch's rows whose largest prediction is at the target's largest element: a scalar.
Tensor categorical_accuracy(Tensor prediction, Tensor target, Location location = Location::here());

}  // namespace kiln
