#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator negate_operator;

/// -x, element by element.
Tensor negate(Operand x);
inline Tensor operator-(Operand x) { return negate(x); }

}  // namespace kiln
