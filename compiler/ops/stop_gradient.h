#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator stop_gradient_operator;

/// x itself, through which no gradient flows.
Tensor stop_gradient(Operand x);

}  // namespace kiln
