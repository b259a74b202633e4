#pragma once

#include <memory>
#include <set>
#include <vector>

#include "ir/graph.h"

namespace kiln {

/// Positions in a tensor, in the user's order of dimensions: at[d][i] is dimension d of the i-th.
struct Positions {
  size_t count = 0;
  std::vector<std::vector<int>> at;
};

/// What an interpretation takes for a step's scalars, and how it computes.
struct InterpreterOptions {
  int64_t lanes = 4;  // rows of batched storage
  int64_t count = 4;  // rows that hold data
  int32_t seed = 0, step = 0;
  double learning_rate = 1e-3, label_smoothing = 0;
  bool single = false;            // rounds every real result to f32: what unfused, unscheduled f32 would give
  std::set<NodeId> rounded = {};  // contractions that multiply their operands rounded to bf16
};

/// Evaluates the definitions of a primitive graph's nodes in f64, without Halide's compiler or LLVM: an expression
/// becomes a list of instructions that run on some hundred elements at a time. Nothing is compiled, so it starts at
/// once and shares no code with what it checks beside the definitions themselves.
class Interpreter {
 public:
  Interpreter(const Graph& graph, const InterpreterOptions& options);
  ~Interpreter();
  Interpreter(Interpreter&&) noexcept;

  /// Says where a node's elements are, in storage order (the batch innermost, `lanes` of it). What other nodes read of
  /// it comes from there; the memory must outlive the calls below.
  void store(NodeId id, const float* values);
  void store(NodeId id, const int32_t* values);
  void store(NodeId id, const double* values);
  /// Nothing is stored any more.
  void forget();

  /// The node's values at some positions. Operands that are not stored are computed, each time they are read.
  std::vector<double> values(NodeId id, const Positions& at) const;
  /// All its elements in storage order. Rows at and beyond `count` mean nothing.
  std::vector<double> values(NodeId id) const;

  /// Terms of the sums that one element of the node takes, nested sums multiplied, down to what is stored.
  int64_t terms(NodeId id) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// All positions of a tensor in storage order.
Positions all_positions(const Shape& shape, int64_t lanes);

}  // namespace kiln
