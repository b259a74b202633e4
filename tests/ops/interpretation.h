#pragma once

#include <map>
#include <optional>
#include <vector>

#include "ir/graph.h"
#include "lower/interpreter.h"
#include "lower/reference.h"

namespace kiln::testing {

using Values = std::vector<double>;

/// An expanded graph's values in f64, node by node, from the operators' definitions alone: nothing is scheduled or
/// compiled, so that thousands of small graphs can be tried. A definition that reads outside of an operand throws
/// InternalError.
class Interpretation {
 public:
  Interpretation(const Graph& graph, int64_t batch) : graph_(graph), batch_(batch), stored_(graph.nodes.size()) {}

  /// The values of the nodes in `wanted`, given those of inputs and parameters, all in the user's row-major order.
  std::vector<Values> run(const std::map<NodeId, Values>& sources, const ReferenceOptions& options,
                          const std::vector<NodeId>& wanted);

 private:
  struct Stored {
    Values reals;
    std::vector<int32_t> integers;
  };
  void store(NodeId id, Values values);

  const Graph& graph_;
  const int64_t batch_;
  std::optional<Interpreter> interpreter_;  // of these scalars:
  ReferenceOptions options_;
  std::vector<Stored> stored_;
};

}  // namespace kiln::testing
