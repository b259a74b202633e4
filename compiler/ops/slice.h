#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator slice_operator;

struct SliceOptions {
  std::vector<int64_t> begin;  // for each dimension, the batch (0) included
  std::vector<int64_t> size;   // -1: all that follow
};

/// The block of x that starts at `begin` and has the extents `size`.
Tensor slice(Tensor x, SliceOptions options, Location location = Location::here());

}  // namespace kiln
