#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator concatenate_operator;

struct ConcatenateOptions {
  int64_t axis = -1;  // -1: the last
};

/// The tensors one after the other along an axis other than the batch.
Tensor concatenate(const std::vector<Tensor>& tensors, ConcatenateOptions options = {},
                   Location location = Location::here());

}  // namespace kiln
