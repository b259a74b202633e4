#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator average_pool_gradient_operator;

/// The cotangent of average_pool's input, given the output's cotangent.
Tensor average_pool_gradient(Tensor cotangent, std::vector<int64_t> windows, Location location = Location::here());

}  // namespace kiln
