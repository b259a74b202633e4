#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator square_operator;

/// x * x, element by element.
Tensor square(Operand x);

}  // namespace kiln
