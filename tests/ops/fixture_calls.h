#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "ir/graph.h"

namespace kiln::testing {

/// What a fixture's case gives to the call: its attributes, and its inputs by name, which become nodes when asked for
/// (an operator's own weights never are).
struct FixtureCall {
  Graph& graph;
  const nlohmann::json& attributes;
  const nlohmann::json& inputs;
  Tensor input(const std::string& name) const;
};

using FixtureBuild = std::function<Tensor(const FixtureCall&)>;

/// The DSL call of each operator that has outside values, from the attributes of its cases.
const std::map<std::string, FixtureBuild>& fixture_calls();

}  // namespace kiln::testing
