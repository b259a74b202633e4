#pragma once

#include "lower/kernel.h"
#include "schedule/knobs.h"

namespace kiln {

/// A kernel as a scheduled Halide pipeline: one output buffer for each of the kernel's roots, in their order.
struct ScheduledKernel {
  Halide::Pipeline pipeline;
  std::vector<Halide::Argument> arguments;
  std::vector<Knob> knobs;  // the choices that were made, the recipe first
};

/// Chooses the recipe by the kind of the kernel's anchors, or as the kernel's schedule says, and applies it; it knows
/// shapes, no cases.
ScheduledKernel schedule(const Program& program, const Kernel& kernel, const Halide::Target& target);

/// What recipes know of a processor.
struct Machine {
  int vector = 16;        // f32 elements of a vector register
  int accumulators = 24;  // vector registers that are left for sums, beside the operands
};
Machine machine_of(const Halide::Target& target);

// The recipes. Each builds the kernel's functions and schedules them, and returns the pipeline's output functions.

struct Recipe {
  Halide::Func output;
  Halide::Func row_sums = {};  // defined where the kernel has row sums
};

/// A contraction whose result has the batch: vectors of rows times a tile of features in registers.
Recipe contraction_over_rows(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs);
/// A contraction that sums over the batch only (a dense layer's weight gradient): vectors along the innermost
/// dimension of the result, after one operand is transposed.
Recipe contraction_of_rows(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs);
/// A contraction that sums over the batch and more (a convolution's weight gradient): lanes of rows accumulate, and are
/// added up at the end.
Recipe contraction_in_lanes(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs);
/// A contraction without a batch.
Recipe contraction_plain(KernelExpressions& kernel, NodeId anchor);
/// Folds that sum over the batch; several may share the pass.
Recipe fold_over_batch(KernelExpressions& kernel, const Machine& machine, Knobs& knobs);
/// Folds that keep the batch, or have none; several may share the pass.
Recipe fold_in_place(KernelExpressions& kernel, const Machine& machine, Knobs& knobs);
/// Any kernel of a program of one row.
Recipe single_row(KernelExpressions& kernel, const Machine& machine, Knobs& knobs);
/// Element-wise work, windows of pooling included.
Recipe element_wise(KernelExpressions& kernel, const Machine& machine, Knobs& knobs);

// --- what recipes share ---

/// Loop variables of a result in storage order (batch first, then from the innermost out), and the same as an index.
struct Loops {
  std::vector<Halide::Var> storage;
  std::vector<int> extents;  // in storage order
  Index at;                  // in the user's order
  bool batched = false;
};
Loops loops_of(const Shape& shape, int64_t lanes);

/// Defines the kernel's output at `loops` from its roots (all but row sums), with the bounds and strides of dense
/// buffers.
Halide::Func define_output(KernelExpressions& kernel, const Loops& loops);

/// Windows up to this size are unrolled into expressions.
inline constexpr int64_t kUnrolledWindow = 25;

/// A contraction's summed loops as a reduction domain, the last (a kernel's channel) innermost; `rows` replaces the
/// batch's extent.
Halide::RDom summed_domain(const Contraction& c, int rows);
/// All loops of a contraction: the output's index, then the domain's variables in the contraction's order.
Index all_loops(const Index& at, const Halide::RDom& r);
/// From here on the kernel reads the node in a function of its storage order.
void bind_to(KernelExpressions& kernel, NodeId node, const Halide::Func& f);

/// Gives a function's buffers the bounds and strides of dense storage.
void bind_dense(Halide::Func& output, const Loops& loops);

/// For a kernel with row sums: `rows`, whose loops are scheduled but for the outermost, is computed a row at a time;
/// each row is then copied out and summed while it is in the cache. Returns output and sums, parallel over rows.
Recipe with_row_sums(KernelExpressions& kernel, const Loops& loops, Halide::Func rows, const Machine& machine,
                     Knobs& knobs);
/// The same for a kernel that does not make its result row by row: the sums are a pass of their own over `output`.
Recipe row_sums_after(KernelExpressions& kernel, const Loops& loops, Halide::Func output, const Machine& machine,
                      Knobs& knobs);

/// True where the kernel's work (its leaves and roots, and `extra_work` element operations) is worth waking threads
/// for.
bool worth_threads(KernelExpressions& kernel, int64_t extra_work = 0);

}  // namespace kiln
