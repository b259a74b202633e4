#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator broadcast_to_operator;

struct BroadcastOptions {
  Shape shape;
};

/// Stretches x to `shape` as NumPy does.
Tensor broadcast_to(Tensor x, BroadcastOptions options, Location location = Location::here());
/// The same, but a batch dimension that is new is zero in rows that hold no data: the gradient of a sum over the batch.
Tensor broadcast_to_data(Tensor x, BroadcastOptions options);

}  // namespace kiln
