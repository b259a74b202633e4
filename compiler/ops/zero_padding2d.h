#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator zero_padding2d_operator;

struct ZeroPadding2DOptions {
  std::vector<int64_t> padding = {1};  // one number for all sides, or {top, bottom, left, right}
};

/// Zeros around the image: N x height x width x channels -> N x height' x width' x channels.
Tensor zero_padding2d(Tensor x, ZeroPadding2DOptions options = {}, Location location = Location::here());

}  // namespace kiln
