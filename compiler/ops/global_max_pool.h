#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator global_max_pool_operator;

/// The largest element of each channel: N x height x width x channels -> N x channels.
Tensor global_max_pool(Operand x);

}  // namespace kiln
