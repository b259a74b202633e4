#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator softplus_operator;

/// log(1 + e^x), element by element.
Tensor softplus(Operand x);

}  // namespace kiln
