#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator dense_operator;

struct DenseOptions {
  int64_t units = 0;
  bool use_bias = true;
  std::optional<Initializer> kernel_initializer = {};  // Glorot uniform
  double kernel_l2 = 0;                                // adds kernel_l2 * sum(kernel^2) to the loss (Keras L2)
};

/// x * kernel^T + bias: N x inputs -> N x units. The kernel is stored units x inputs.
Tensor dense(Tensor x, DenseOptions options, Location location = Location::here());

}  // namespace kiln
