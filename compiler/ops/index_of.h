#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator index_of_operator;

/// The first index along the last axis at which x >= value, as a real number; `value` has that axis with extent 1.
Tensor index_of(Tensor x, Tensor value, Location location = Location::here());

}  // namespace kiln
