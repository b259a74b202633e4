#pragma once

#include <map>

#include "ops/definition.h"
#include "passes/program.h"

namespace kiln {

/// What a kernel computes, as Halide expressions over its leaves: fusing is substitution. Recipes (schedule/) decide
/// which anchors become functions with loops of their own.
class KernelExpressions {
 public:
  KernelExpressions(const Program& program, const Kernel& kernel);

  /// From here on the node is read through `read` (an accumulator, say).
  void bind(NodeId id, std::function<Halide::Expr(const Index&)> read);

  /// The node's element at a position in the user's order.
  Halide::Expr value(NodeId id, const Index& at);
  /// The expression that the fold anchor `id` folds, at an element of its result and of its domain.
  Halide::Expr folded(NodeId id, const Index& at, const Index& r);

  const Program& program() const { return program_; }
  const Kernel& kernel() const { return kernel_; }
  const Node& node(NodeId id) const { return program_.graph.node(id); }
  const Definition& definition(NodeId id);
  Halide::Expr count() const { return count_; }

  /// The pipeline's arguments in the order that the step passes them: scalars first, then leaves.
  std::vector<Halide::Argument> arguments() const;
  Halide::ImageParam image(NodeId leaf) const { return images_.at(leaf); }

 private:
  friend class ExpressionOperands;
  const Program& program_;
  const Kernel& kernel_;
  Halide::Param<float> learning_rate_{"learning_rate"}, label_smoothing_{"label_smoothing"};
  Halide::Param<int> step_{"step"}, seed_{"seed"}, count_{"count"};
  std::map<NodeId, Halide::ImageParam> images_;
  std::map<NodeId, std::function<Halide::Expr(const Index&)>> bound_;
  std::map<NodeId, Definition> definitions_;
  // Shared subexpressions are built once: without this, a graph that forks and joins grows exponentially.
  std::map<std::pair<NodeId, std::vector<const void*>>, std::pair<Halide::Expr, Index>> built_;
};

/// a + b, max(a, b) or min(a, b), and what leaves them unchanged.
Halide::Expr combine(Fold fold, const Halide::Expr& a, const Halide::Expr& b);
Halide::Expr identity(Fold fold, Halide::Type type);

}  // namespace kiln
