#pragma once

#include "ir/graph.h"
#include "ops/max_pool.h"  // PoolOptions

namespace kiln {

extern const Operator min_pool_operator;

/// The smallest element of each window; padding never wins.
Tensor min_pool(Tensor x, PoolOptions options = {}, Location location = Location::here());

}  // namespace kiln
