#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator log_operator;

/// The natural logarithm, element by element; x > 0.
Tensor log(Operand x);

}  // namespace kiln
