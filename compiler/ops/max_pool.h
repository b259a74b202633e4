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

/// The windows of a pooling operator on x; throws UserError at `location` when one does not fit.
std::vector<Window> pool_windows(const char* op, const Shape& x, const PoolOptions& options, Location location);

/// The options of a random use on x.
PoolOptions random_pool(Choices& choices, const Shape& x);

/// The largest element of each window; padding never wins.
Tensor max_pool(Tensor x, PoolOptions options = {}, Location location = Location::here());

}  // namespace kiln
