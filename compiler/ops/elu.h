#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator elu_operator;

struct EluOptions {
  double alpha = 1;
};

/// x where x > 0, else alpha * (e^x - 1).
Tensor elu(Tensor x, EluOptions options = {}, Location location = Location::here());

}  // namespace kiln
