#pragma once

#include "ir/graph.h"

namespace kiln {

/// Rewrites sums over the batch and the rows of an image as a sum within each row (batch and the other dimensions)
/// followed by a small sum over rows: the first can then run in the kernel that produces the row, while it is in the
/// cache.
Graph split_sums(const Graph& graph);

}  // namespace kiln
