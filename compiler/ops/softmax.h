#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator softmax_operator;

/// e^x / sum of e^x along the last axis.
Tensor softmax(Operand x);

}  // namespace kiln
