#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace kiln {

/// A graph file, in the DSL, of a network's description (Network::structure). `loss` is categorical_cross_entropy,
/// binary_cross_entropy, mean_squared_error, none, or empty for what fits the output. `origin` is where it came from.
/// Throws UsageError where the loss does not fit.
std::string graph_source(const nlohmann::json& description, const std::string& loss, const std::string& origin);

}  // namespace kiln
