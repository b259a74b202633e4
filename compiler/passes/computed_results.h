#pragma once

#include "ir/graph.h"

namespace kiln {

/// The graph with a copy in place of each output, metric, loss or update that is an input, a parameter or a scalar as
/// it is (or seen in another shape): a program's results lie in its arena, and what a parameter becomes is read before
/// any parameter is overwritten.
Graph with_computed_results(Graph graph);

}  // namespace kiln
