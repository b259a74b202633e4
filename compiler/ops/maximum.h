#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator maximum_operator;

/// The larger of a and b, element by element with NumPy's broadcasting.
Tensor maximum(Operand a, Operand b);

}  // namespace kiln
