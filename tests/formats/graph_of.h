#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "network.h"

namespace kiln {

/// The compiler's graph of a description, as the DSL would have built it; types are checked by the operators.
Graph graph_of(const nlohmann::json& description);

/// Predicts with a network by interpreting its definitions in f64: each output's values, row-major, batch first.
/// `inputs` likewise, by the names of the graph's inputs.
std::vector<std::vector<double>> interpret(const Network& network,
                                           const std::map<std::string, std::vector<float>>& inputs, int64_t rows);

}  // namespace kiln
