#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator transpose_operator;

struct TransposeOptions {
  std::vector<int64_t> axes;  // dimension i of the result is dimension axes[i] of x; the batch stays first
};

/// The dimensions of x in another order.
Tensor transpose(Tensor x, TransposeOptions options, Location location = Location::here());

}  // namespace kiln
