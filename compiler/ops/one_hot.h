#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator one_hot_operator;

struct OneHotOptions {
  int64_t classes = 2;
};

/// Class labels (int32, N) as rows of zeros with a one at the label: N x classes.
Tensor one_hot(Tensor labels, OneHotOptions options, Location location = Location::here());

}  // namespace kiln
