#pragma once

#include "ir/graph.h"
#include "ops/window.h"

namespace kiln {

extern const Operator conv2d_operator;

struct Conv2DOptions {
  int64_t filters = 0;
  std::vector<int64_t> kernel = {3, 3};  // height, width
  std::vector<int64_t> strides = {1, 1};
  Padding padding = Padding::valid();
  std::vector<int64_t> dilation = {1, 1};
  int64_t groups = 1;
  bool use_bias = true;
  std::optional<Initializer> kernel_initializer = {};  // Glorot uniform
  double kernel_l2 = 0;                                // adds kernel_l2 * sum(kernel^2) to the loss (Keras L2)
};

/// Two-dimensional convolution (correlation): N x height x width x channels -> N x height' x width' x filters. The
/// kernel is stored filters x height x width x channels / groups.
Tensor conv2d(Tensor x, Conv2DOptions options, Location location = Location::here());

}  // namespace kiln
