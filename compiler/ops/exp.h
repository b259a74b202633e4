#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator exp_operator;

/// e^x, element by element.
Tensor exp(Operand x);

}  // namespace kiln
