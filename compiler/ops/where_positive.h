#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator where_positive_operator;

/// `yes` where `condition` > 0, else `no`.
Tensor where_positive(Operand condition, Operand yes, Operand no);

}  // namespace kiln
