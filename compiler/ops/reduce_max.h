#pragma once

#include "ir/graph.h"
#include "ops/reduce_sum.h"  // ReduceOptions

namespace kiln {

extern const Operator reduce_max_operator;

/// The largest element over `axes`; the result's shape is reduce_sum's.
Tensor reduce_max(Tensor x, ReduceOptions options, Location location = Location::here());

}  // namespace kiln
