#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator clip_operator;

struct ClipOptions {
  double min = 0, max = 1;
};

/// min(max(x, options.min), options.max), element by element.
Tensor clip(Tensor x, ClipOptions options, Location location = Location::here());

}  // namespace kiln
