#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "network.h"

namespace kiln {

/// The compiler's graph of a description, as the DSL would have built it; types are checked by the operators.
Graph graph_of(const nlohmann::json& description);

/// A .kiln file of a graph: its description and parameters, which are zero.
KilnFile file_of(const Graph& graph);

/// Predicts by interpreting the definitions in f64: each output's values, row-major, batch first. `inputs` likewise, by
/// the names of the graph's inputs; `parameters` by theirs.
std::vector<std::vector<double>> interpret(Graph graph, const std::map<std::string, Array>& parameters,
                                           const std::map<std::string, std::vector<float>>& inputs, int64_t rows);

}  // namespace kiln
