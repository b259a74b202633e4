#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator to_bf16_operator;

/// Real numbers rounded to bf16, which take half of their memory.
Tensor to_bf16(Operand x);

}  // namespace kiln
