#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator alpha_dropout_operator;

struct AlphaDropoutOptions {
  double rate = 0.5;  // the part that is dropped
};

/// Dropout for selu: dropped elements take selu's lower limit, and all are scaled and shifted so that mean and variance
/// stay; in prediction x itself.
Tensor alpha_dropout(Tensor x, AlphaDropoutOptions options = {}, Location location = Location::here());

}  // namespace kiln
