#pragma once

#include <string>

#include "ir/graph.h"

namespace kiln {

/// The graph as it was written, as one line of JSON, which goes with the program and every saved model, so that such a
/// file alone is enough to write the network down for another tool:
///
///     {"name", "batch",
///      "nodes": [{"id", "op", "layer", "inputs": [id], "attributes", "shape": [null for the batch, ...], "file",
///      "line"}], "outputs", "metrics": [{"name", "node"}], "loss": id or null, "regularizers": [{"weight": id, "l2"}],
///      "optimizer": null or {"name", "learning_rate", "clip_value", "clip_norm", "global_clip_norm", "constants"}}
///
/// Nodes are those that outputs, metrics or loss depend on, in topological order.
std::string structure_json(const Graph& graph);

}  // namespace kiln
