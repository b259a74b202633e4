#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator log_softmax_operator;

/// log(softmax(x)) along the last axis.
Tensor log_softmax(Operand x);

}  // namespace kiln
