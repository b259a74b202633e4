#pragma once

#include "ir/graph.h"

namespace kiln {

/// Rewrites a primitive graph into an equal one that is cheaper, until nothing changes: equal nodes are one node,
/// padding moves into the contraction that reads it, what does not vary along a sum moves out of it.
Graph simplify(const Graph& graph);

/// Throws InternalError unless inputs precede their users and every type follows from its operator's rule.
void verify(const Graph& graph);

}  // namespace kiln
