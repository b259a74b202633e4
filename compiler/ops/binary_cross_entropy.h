#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator binary_cross_entropy_operator;

struct BinaryCrossEntropyOptions {
  bool from_logits = false;    // the prediction is what sigmoid would take
  double label_smoothing = 0;  // the target becomes target * (1 - s) + s / 2
};

/// The mean of -target * log(p) - (1 - target) * log(1 - p) over all elements of the batch's rows: a scalar.
Tensor binary_cross_entropy(Tensor prediction, Tensor target, BinaryCrossEntropyOptions options = {},
                            Location location = Location::here());

}  // namespace kiln
