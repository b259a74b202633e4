#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator batch_norm_operator;

struct BatchNormOptions {
  int64_t axis = -1;       // the dimension that keeps its own statistics; -1: the last
  double momentum = 0.99;  // of the moving statistics
  double epsilon = 1e-3;
};

/// Normalises x to mean 0 and variance 1 along every dimension but `axis`, then scales (gamma) and shifts (beta).
Tensor batch_norm(Tensor x, BatchNormOptions options = {}, Location location = Location::here());

}  // namespace kiln
