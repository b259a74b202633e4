#pragma once

#include <map>
#include <string>
#include <vector>

#include "ops/evaluation.h"

namespace kiln::testing {

/// A random use of an operator, all but the numbers of its tensors: those follow from it and `seed`.
struct RandomCall {
  std::string op;
  Graph graph;    // with one output
  Sample sample;  // what it says about values; its build and inputs are in the graph
  int64_t batch = 1, count = 1;
  uint64_t seed = 0;
};

/// How large random calls are.
struct CallSize {
  int64_t elements;  // of a shape, the batch not counted
  int64_t rows;
};

RandomCall random_call(const Operator& op, Choices& choices, CallSize size, uint64_t seed);

/// Values of the graph's inputs and parameters and of the cotangent, within the operator's range and away from its
/// kinks; another `attempt` gives others.
std::map<NodeId, Values> random_values(const RandomCall& call, const GradientGraph& graph, uint64_t attempt = 0);

/// A step's scalars for the call.
ReferenceOptions step_options(const RandomCall& call, uint64_t attempt = 0);

/// A call as a small JSON file and back: its nodes one a line, and what `found` says.
std::string to_json(const RandomCall& call, const std::string& found);
RandomCall call_from_json(const std::string& text);

}  // namespace kiln::testing
