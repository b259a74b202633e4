#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator argmax_operator;

/// The index of the (first) largest element along the last axis, as a real number: N x classes -> N x 1.
Tensor argmax(Operand x);

}  // namespace kiln
