#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator abs_operator;

/// |x|, element by element.
Tensor abs(Operand x);

}  // namespace kiln
