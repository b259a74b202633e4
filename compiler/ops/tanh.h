#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator tanh_operator;

/// The hyperbolic tangent, element by element.
Tensor tanh(Operand x);

}  // namespace kiln
