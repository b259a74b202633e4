#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "lower/reference.h"

/// What the operators' tests share: an expression evaluated in f64 together with its gradients.
namespace kiln::testing {

using Values = std::vector<double>;

/// A graph with one output, expanded, and the scalar objective sum(output * cotangent) over the rows that hold data.
class Evaluation {
 public:
  /// `graph` has one output; gradients are taken for the inputs and parameters named in `wanted`, or for all that are
  /// real and trainable.
  Evaluation(const Graph& graph, int64_t batch, bool training,
             const std::optional<std::vector<std::string>>& wanted = std::nullopt);

  /// Inputs and parameters of the expanded graph; beside them, `cotangent_id` wants values of the output's shape.
  const std::map<std::string, NodeId>& sources() const { return sources_; }
  NodeId cotangent_id() const { return cotangent_; }
  const Graph& graph() const { return graph_; }
  const Type& output_type() const { return graph_.node(output_).type; }
  /// The names whose gradient exists, in the order of Result::gradients.
  const std::vector<std::string>& differentiable() const { return differentiable_; }
  /// The names asked for on which the output does not depend differentiably.
  const std::vector<std::string>& constant() const { return constant_; }

  struct Result {
    Values output;
    double objective;
    std::vector<Values> gradients;
    std::vector<Values> updates;  // in the order of graph().updates
  };
  Result run(const std::map<NodeId, Values>& values, const ReferenceOptions& options) const;

 private:
  Graph graph_;
  std::map<std::string, NodeId> sources_;
  NodeId output_ = -1, cotangent_ = -1;
  std::vector<std::string> differentiable_, constant_;
  std::vector<NodeId> results_;
  std::unique_ptr<Reference> reference_;
};

/// Reproducible numbers in [low, high), the same on every machine.
Values random_values(size_t count, double low, double high, uint32_t seed);

}  // namespace kiln::testing
