#pragma once

#include "ir/graph.h"
#include "ops/reduce_sum.h"  // ReduceOptions

namespace kiln {

extern const Operator reduce_mean_operator;

/// The mean over `axes`; the result's shape is reduce_sum's, and of the batch only rows that hold data count.
Tensor reduce_mean(Tensor x, ReduceOptions options, Location location = Location::here());

}  // namespace kiln
