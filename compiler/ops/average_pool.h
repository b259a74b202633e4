#pragma once

#include "ir/graph.h"
#include "ops/max_pool.h"  // PoolOptions

namespace kiln {

extern const Operator average_pool_operator;

/// The mean of each window's elements, of which padding is none.
Tensor average_pool(Tensor x, PoolOptions options = {}, Location location = Location::here());

}  // namespace kiln
