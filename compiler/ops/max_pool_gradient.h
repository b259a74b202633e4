#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator max_pool_gradient_operator;

/// The cotangent of max_pool's input x, given its output's cotangent.
Tensor max_pool_gradient(Tensor x, Tensor cotangent, std::vector<int64_t> windows,
                         Location location = Location::here());

}  // namespace kiln
