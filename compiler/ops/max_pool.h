#pragma once

#include "ir/graph.h"
#include "ops/window.h"

namespace kiln {

extern const Operator max_pool_operator;

struct PoolOptions {
  std::vector<int64_t> size = {2, 2};  // height, width
  std::vector<int64_t> strides = {};   // empty: the size
  Padding padding = Padding::valid();
};

/// The largest element of each window; padding never wins.
Tensor max_pool(Tensor x, PoolOptions options = {}, Location location = Location::here());

}  // namespace kiln
