#pragma once

#include <functional>

#include "ir/graph.h"

namespace kiln {

/// Rebuilds a graph node by node: `rule` gets each node, in order, with its inputs in the new graph (whose scope is the
/// node's) and returns what replaces it. Outputs, updates and the rest follow.
using RewriteRule = std::function<Tensor(Graph& result, const Node& node, const std::vector<Tensor>& inputs)>;
Graph rewrite(const Graph& graph, const RewriteRule& rule);

/// The node as it was, on new inputs.
Tensor copy_node(Graph& result, const Node& node, const std::vector<Tensor>& inputs);

/// What `build` makes of parameters, in the role of preparing: once for all rows.
Tensor prepared(Graph& result, const std::function<Tensor()>& build);

/// Drops the nodes that no output, metric, update or loss depends on.
Graph without_dead_nodes(const Graph& graph);

}  // namespace kiln
