#pragma once

#include <Halide.h>

#include <functional>
#include <limits>
#include <optional>

#include "ir/graph.h"

namespace kiln {

/// A position in a tensor, in the user's order of dimensions (N, height, width, channel).
using Index = std::vector<Halide::Expr>;

/// What a definition reads. Implemented by the lowering: an operand may be a buffer or an expression fused in.
class Operands {
 public:
  virtual ~Operands() = default;
  /// The operand's element at `index`, which must be inside.
  virtual Halide::Expr read(int operand, const Index& index) const = 0;
  virtual const Shape& shape(int operand) const = 0;
  /// f32 in a program, f64 in the reference evaluation.
  virtual Halide::Type real() const = 0;
  /// Rows of this batch that hold data; the last batch of an epoch may be smaller than the program's.
  virtual Halide::Expr count() const = 0;
  /// The program's batch.
  virtual int64_t batch() const = 0;

  Halide::Expr constant(double value) const { return Halide::Internal::make_const(real(), value); }
  /// The element that NumPy's broadcasting pairs with the output's element `at`.
  Halide::Expr broadcast(int operand, const Index& at) const;
  /// The element at `index`, or `outside` where that is out of the operand's bounds.
  Halide::Expr read_or(int operand, const Index& index, Halide::Expr outside) const;
};

enum class Fold { none, sum, max, min };

/// What no maximum takes. Not infinity: kernels are compiled for finite numbers, and where Halide finds out that the
/// others are constants, what LLVM makes of an infinite one is anything.
constexpr double kLowest = std::numeric_limits<float>::lowest();

/// What an operator computes, as data that fusion and scheduling can take apart.
struct Definition {
  /// none: out[at] = value(at). Else out[at] = fold over r in `extents` of value(at, r). An extent of kBatch folds over
  /// the rows that hold data only.
  Fold fold = Fold::none;
  Shape extents;
  std::function<Halide::Expr(const Operands& in, const Index& at, const Index& r)> value;
  /// Work of one element of `value` in simple operations (an exponential counts as 20): what inlining it costs.
  int cost = 1;
  /// Along a dimension with period p, unrolling by p lets neighbours share work (gradients of pooling); empty: 1.
  Shape period;
  /// Operands that `value` reads at the output's own element only (or a broadcast of it): all, unless listed here.
  std::vector<int> gathered;
  /// The operands are compared with the result for equality, here or in the gradient: they must be stored values, since
  /// a fused kernel that computes one again may round it differently.
  bool compares = false;
  /// Set for a contraction of operands 0 and 1; then the rest is unused.
  std::optional<Contraction> contraction;
};

using MapRule = std::function<Halide::Expr(const Operands& in, const Index& at)>;
using PointwiseRule = std::function<Halide::Expr(const Operands& in, const std::vector<Halide::Expr>& operands)>;
using FoldRule = std::function<Halide::Expr(const Operands& in, const Index& at, const Index& r)>;

/// out[at] = rule(at).
Definition map(MapRule rule, int cost = 1);
/// out[at] = rule(operands at `at`, broadcast as NumPy does).
Definition pointwise(const Call& call, PointwiseRule rule, int cost = 1);
/// The same rule, which reads the listed operands at other elements than its own.
Definition gathering(Definition definition, std::vector<int> operands);
/// out[at] = fold over r of rule(at, r).
Definition fold(Fold fold, Shape extents, FoldRule rule);
Definition contract(Contraction contraction);

}  // namespace kiln
