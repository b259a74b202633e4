#pragma once

#include "ir/graph.h"

namespace kiln {

/// Rewrites composite operators until only primitive ones are left. Locations and layers are carried on. In training,
/// moving statistics get their updates; in inference, dropout vanishes and updates are dropped.
Graph expand(const Graph& graph, bool training);

}  // namespace kiln
