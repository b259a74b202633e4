#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator dropout_operator;

struct DropoutOptions {
  double rate = 0.5;  // the part that is dropped
};

/// In training, zeroes the part `rate` of the elements at random and scales the others by 1 / (1 - rate); in prediction
/// x itself.
Tensor dropout(Tensor x, DropoutOptions options = {}, Location location = Location::here());

}  // namespace kiln
