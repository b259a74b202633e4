#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator erf_operator;

/// The error function, element by element.
Tensor erf(Operand x);

}  // namespace kiln
