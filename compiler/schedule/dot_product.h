#pragma once

#include <optional>

#include "schedule/recipe.h"

// Mixed precision: operands are rounded to bf16 inside the kernel that multiplies them, and one instruction adds two
// products at a time to a sum in f32.

namespace kiln {

/// Whether the processor has such an instruction that Halide knows.
bool has_dot_products(const Halide::Target& target);

/// The summed loop of a contraction that is taken two steps at a time.
struct PairedLoop {
  size_t loop;
  size_t dimensions[2];  // of the left and the right operand: each is indexed by the loop alone
};

/// Such a loop whose extent is a multiple of `multiple`, in a program of mixed precision; none where rounding the
/// operands costs as much as it saves, or where the program is f32.
std::optional<PairedLoop> paired_loop(KernelExpressions& kernel, NodeId anchor, int multiple = 2);

/// An operand rounded to bf16, as a function with the two elements of each pair next to each other in memory.
class RoundedOperand {
 public:
  RoundedOperand(KernelExpressions& kernel, NodeId operand, size_t paired_dimension);

  /// The element `which` (0 or 1) of a pair as f32; `at` is in the user's order and counts pairs in the paired
  /// dimension.
  Halide::Expr at(const Index& at, const Halide::Expr& which) const;

  /// Whether the two of a pair lie next to each other in the operand itself, too.
  bool neighbours() const { return neighbours_; }

  /// Vectorises the rounding along the operand's memory, of which `extent` elements are wanted at a time: nothing
  /// beyond them is read.
  void vectorize(const Machine& machine, int extent);
  /// Rounds the whole operand at the kernel's beginning, on all threads if it is `threads`' worth.
  void compute_at_root(const Machine& machine, bool threads);

  Halide::Func function;

 private:
  std::vector<Halide::Var> storage_;  // batch or innermost dimension first
  std::vector<int> extents_;          // of the operand
  Halide::Var which_{"which"};
  size_t dimension_;  // the paired one in the user's order
  bool batched_, neighbours_;
};

/// Both operands of a contraction, rounded.
struct RoundedProduct {
  RoundedProduct(KernelExpressions& kernel, NodeId anchor, const PairedLoop& pair);

  /// One product of a pair at the given loop values, the paired loop counting pairs; `where` collects the condition
  /// under which it counts.
  Halide::Expr term(KernelExpressions& kernel, NodeId anchor, const Index& at, const Halide::Expr& which,
                    Halide::Expr* where) const;

  size_t loop;
  RoundedOperand operands[2];
};

/// The summed loops as a reduction domain: the two of a pair, `pairs` pairs, then the other loops, the last innermost.
Halide::RDom paired_domain(const Contraction& c, size_t loop, int pairs);
/// All loops of a contraction: the output's index, then the domain's variables, `pair` for the paired loop.
Index paired_loops(const Contraction& c, size_t loop, const Index& at, const Halide::RDom& r, const Halide::Expr& pair);

/// The same where the knob "products" says bf16, as it does unless somebody sets it.
std::optional<PairedLoop> bf16_products(KernelExpressions& kernel, NodeId anchor, Knobs& knobs, int multiple = 2);

}  // namespace kiln
