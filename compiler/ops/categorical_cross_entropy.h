#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator categorical_cross_entropy_operator;

struct CategoricalCrossEntropyOptions {
  bool from_logits = false;    // the prediction is what softmax would take
  double label_smoothing = 0;  // the target becomes target * (1 - s) + s / classes
};

/// The mean over the batch's rows of -sum of target * log(p) along the last axis: a scalar.
Tensor categorical_cross_entropy(Tensor prediction, Tensor target, CategoricalCrossEntropyOptions options = {},
                                 Location location = Location::here());

}  // namespace kiln
