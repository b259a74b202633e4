#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator relu_operator;

/// max(x, 0).
Tensor relu(Operand x);

}  // namespace kiln
