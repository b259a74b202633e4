#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator sigmoid_operator;

/// 1 / (1 + e^-x), element by element.
Tensor sigmoid(Operand x);

}  // namespace kiln
