#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator one_hot_operator;

struct OneHotOptions {
  int64_t classes = 2;
};

/// Class labels (int32, N) as rows of zeros with a one at the label: N x classes.
Tensor one_hot(Tensor labels, OneHotOptions options, Location location = Location::here());

/// How many classes the graph makes of this node's labels, the fewest where it is asked more than once; 0: of no labels.
int64_t label_classes(const Graph& graph, NodeId labels);

}  // namespace kiln
