#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator pad_operator;

struct PadOptions {
  std::vector<int64_t> before, after;  // zeros added to each dimension, the batch (0) included
};

/// Surrounds x with zeros.
Tensor pad(Tensor x, PadOptions options, Location location = Location::here());

}  // namespace kiln
