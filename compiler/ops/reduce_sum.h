#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator reduce_sum_operator;

struct ReduceOptions {
  std::vector<int64_t> axes;  // 0 is the batch
};

/// The sum over `axes`. A summed batch dimension is dropped (only rows that hold data count), the other summed
/// dimensions stay with extent 1, so that the result broadcasts against the input.
Tensor reduce_sum(Tensor x, ReduceOptions options, Location location = Location::here());

}  // namespace kiln
