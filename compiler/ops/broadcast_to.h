#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator broadcast_to_operator;

struct BroadcastOptions {
  Shape shape;
};

/// Stretches x to `shape` as NumPy does. A batch dimension that is new is zero in rows that hold no data, which makes
/// it the exact gradient of a sum over the batch.
Tensor broadcast_to(Tensor x, BroadcastOptions options, Location location = Location::here());

}  // namespace kiln
