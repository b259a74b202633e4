#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator sqrt_operator;

/// The square root, element by element; x > 0.
Tensor sqrt(Operand x);

}  // namespace kiln
