#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator leaky_relu_operator;

struct LeakyReluOptions {
  double negative_slope = 0.3;
};

/// x where x > 0, else negative_slope * x.
Tensor leaky_relu(Tensor x, LeakyReluOptions options = {}, Location location = Location::here());

}  // namespace kiln
