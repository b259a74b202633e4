#pragma once

#include "ir/graph.h"
#include "ops/window.h"

namespace kiln {

extern const Operator depthwise_conv2d_operator;

struct DepthwiseConv2DOptions {
  std::vector<int64_t> kernel = {3, 3};  // height, width
  std::vector<int64_t> strides = {1, 1};
  Padding padding = Padding::valid();
  std::vector<int64_t> dilation = {1, 1};
  int64_t depth_multiplier = 1;  // filters per channel
  bool use_bias = true;
  std::optional<Initializer> kernel_initializer = {};  // Glorot uniform
  double kernel_l2 = 0;                                // adds kernel_l2 * sum(kernel^2) to the loss (Keras L2)
};

/// Convolves each channel with filters of its own: N x height x width x channels -> N x height' x width' x
/// (channels * depth_multiplier), a channel's results side by side. The kernel is stored channels x depth_multiplier x
/// height x width.
Tensor depthwise_conv2d(Tensor x, DepthwiseConv2DOptions options = {}, Location location = Location::here());

}  // namespace kiln
