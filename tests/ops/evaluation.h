#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "lower/reference.h"

/// What the operators' tests share: an expression in f64 together with its gradients.
namespace kiln::testing {

using Values = std::vector<double>;

/// A graph with one output, expanded, the scalar objective sum(output * cotangent) over the rows that hold data, and
/// the objective's gradients.
struct GradientGraph {
  Graph graph;
  std::map<std::string, NodeId> sources;  // inputs and parameters, but for `cotangent`, an input of the output's shape
  NodeId output = -1, cotangent = -1, objective = -1;
  std::vector<std::string> differentiable;  // the sources whose gradient exists,
  std::vector<NodeId> gradients;            // and it
  std::vector<std::string> constant;        // those on which the output does not depend differentiably
};

/// Gradients are taken for the inputs and parameters named in `wanted`, or for all that are real and trainable.
GradientGraph with_gradients(const Graph& graph, bool training,
                             const std::optional<std::vector<std::string>>& wanted = std::nullopt);

/// The compiler's own reference evaluation of such a graph.
class Evaluation {
 public:
  Evaluation(const Graph& graph, int64_t batch, bool training,
             const std::optional<std::vector<std::string>>& wanted = std::nullopt);

  /// Inputs and parameters of the expanded graph; beside them, `cotangent_id` wants values of the output's shape.
  const std::map<std::string, NodeId>& sources() const { return parts_.sources; }
  NodeId cotangent_id() const { return parts_.cotangent; }
  const Graph& graph() const { return parts_.graph; }
  const Type& output_type() const { return parts_.graph.node(parts_.output).type; }
  /// The names whose gradient exists, in the order of Result::gradients.
  const std::vector<std::string>& differentiable() const { return parts_.differentiable; }
  /// The names asked for on which the output does not depend differentiably.
  const std::vector<std::string>& constant() const { return parts_.constant; }

  struct Result {
    Values output;
    double objective;
    std::vector<Values> gradients;
    std::vector<Values> updates;  // in the order of graph().updates
  };
  Result run(const std::map<NodeId, Values>& values, const ReferenceOptions& options) const;

 private:
  GradientGraph parts_;
  std::unique_ptr<Reference> reference_;
};

/// Reproducible numbers in [low, high), the same on every machine.
Values random_values(size_t count, double low, double high, uint32_t seed);

}  // namespace kiln::testing
