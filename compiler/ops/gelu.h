#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator gelu_operator;

struct GeluOptions {
  bool approximate = false;  // by tanh, as GPT-2 does
};

/// x * P(X <= x) for a standard normal X.
Tensor gelu(Tensor x, GeluOptions options = {}, Location location = Location::here());

}  // namespace kiln
