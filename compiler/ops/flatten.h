#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator flatten_operator;

/// Each sample's elements in row-major order: N x a x b x ... -> N x (a * b * ...).
Tensor flatten(Operand x);

}  // namespace kiln
