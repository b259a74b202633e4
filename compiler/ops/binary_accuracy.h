#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator binary_accuracy_operator;

struct BinaryAccuracyOptions {
  double threshold = 0.5;
};

/// The part of all elements of the batch's rows for which (prediction > threshold) is the target, 0 or 1: a scalar.
Tensor binary_accuracy(Tensor prediction, Tensor target, BinaryAccuracyOptions options = {},
                       Location location = Location::here());

}  // namespace kiln
