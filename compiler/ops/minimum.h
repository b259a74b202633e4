#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator minimum_operator;

/// The smaller of a and b, element by element with NumPy's broadcasting.
Tensor minimum(Operand a, Operand b);

}  // namespace kiln
