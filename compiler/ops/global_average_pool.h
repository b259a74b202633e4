#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator global_average_pool_operator;

/// The mean of each channel: N x height x width x channels -> N x channels.
Tensor global_average_pool(Operand x);

}  // namespace kiln
