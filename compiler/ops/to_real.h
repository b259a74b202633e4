#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator to_real_operator;

/// An int32 or bf16 tensor's values as real numbers.
Tensor to_real(Operand x);

}  // namespace kiln
