#pragma once

#include <map>
#include <memory>
#include <vector>

#include "ir/graph.h"
#include "lower/reference.h"

namespace kiln::testing {

using Values = std::vector<double>;

/// Evaluates an expanded graph in f64, operator by operator, straight from the operators' definitions: no scheduling,
/// no lowering, no code generation. It shares nothing with the compiler but the definitions, and it is fast for small
/// graphs, of which random tests have thousands. A definition that reads outside of an operand throws InternalError.
class Interpreter {
 public:
  Interpreter(const Graph& graph, int64_t batch);
  ~Interpreter();

  /// The values of the nodes in `wanted`, given those of inputs and parameters, all in the user's row-major order.
  std::vector<Values> run(const std::map<NodeId, Values>& sources, const ReferenceOptions& options,
                          const std::vector<NodeId>& wanted);

 private:
  struct Step;
  std::unique_ptr<Step> prepare(const Node& node) const;

  const Graph& graph_;
  int64_t batch_;
  std::vector<std::unique_ptr<Step>> steps_;  // by node, made when first needed
};

}  // namespace kiln::testing
