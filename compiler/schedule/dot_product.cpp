#include "schedule/dot_product.h"

#include "lower/affine.h"
#include "lower/bf16.h"

namespace kiln {

using Halide::Expr;
using Halide::TailStrategy;
using Halide::Var;

namespace {

/// Multiply-adds for each element of the operands, below which reading, rounding and storing them takes as long as the
/// half of the multiply-adds that it saves.
constexpr int64_t kWorthRounding = 16;
/// Tasks of one rounding: more would cost more than they balance.
constexpr int kTasks = 16;

/// The dimension of an operand that `loop` indexes, where it is the only one and the loop its only index.
std::optional<size_t> plain_dimension(const std::vector<AffineIndex>& indices, size_t loop) {
  std::optional<size_t> found;
  for (size_t d = 0; d < indices.size(); ++d) {
    if (indices[d].coefficients[loop] == 0) continue;
    if (found || plain_loop(indices[d]) != loop) return {};
    found = d;
  }
  return found;
}

}  // namespace

bool has_dot_products(const Halide::Target& target) {
  return target.features_any_of(
      {Halide::Target::AVX512_Zen4, Halide::Target::AVX512_Zen5, Halide::Target::AVX512_SapphireRapids});
}

std::optional<PairedLoop> paired_loop(KernelExpressions& kernel, NodeId anchor, int multiple) {
  if (kernel.program().precision != Precision::mixed) return {};
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  const int64_t lanes = kernel.program().lanes;
  int64_t products = 1, elements = 0;
  for (int64_t extent : c.extents) products *= extent == kBatch ? lanes : extent;
  for (NodeId input : node.inputs) elements += element_count(kernel.node(input).type.shape, lanes);
  if (products < kWorthRounding * elements) return {};
  for (size_t loop = c.output_rank; loop < c.loops.size(); ++loop) {
    const auto left = plain_dimension(c.left, loop), right = plain_dimension(c.right, loop);
    const int64_t extent = c.extents[loop] == kBatch ? lanes : c.extents[loop];
    if (left && right && extent % multiple == 0) return PairedLoop{loop, {*left, *right}};
  }
  return {};
}

RoundedOperand::RoundedOperand(KernelExpressions& kernel, NodeId operand, size_t paired_dimension)
    : function("rounded"), dimension_(paired_dimension) {
  const Shape& shape = kernel.node(operand).type.shape;
  const Loops loops = loops_of(shape, kernel.program().lanes);
  storage_ = loops.storage;
  extents_ = loops.extents;
  batched_ = loops.batched;
  neighbours_ = storage_.front().name() == loops.at[dimension_].as<Halide::Internal::Variable>()->name;
  std::vector<Expr> at(storage_.begin(), storage_.end());
  Index position = loops.at;
  if (!neighbours_) {
    at.insert(at.begin(), which_);
    position[dimension_] = 2 * position[dimension_] + which_;
  }
  function(at) = to_bf16(kernel.value(operand, position));
}

Expr RoundedOperand::at(const Index& at, const Expr& which) const {
  Index position = at;
  if (neighbours_) position[dimension_] = 2 * position[dimension_] + which;
  std::vector<Expr> storage = storage_order(position, batched_);
  if (!neighbours_) storage.insert(storage.begin(), which);
  return Halide::cast<float>(function(storage));
}

void RoundedOperand::vectorize(const Machine& machine, int extent) {
  if (!neighbours_) {
    std::vector<Halide::VarOrRVar> order = {which_};
    order.insert(order.end(), storage_.begin(), storage_.end());
    function.bound(which_, 0, 2).reorder(order).unroll(which_);
  }
  function.vectorize(storage_[0], machine.vector,
                     extent % machine.vector == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
}

RoundedProduct::RoundedProduct(KernelExpressions& kernel, NodeId anchor, const PairedLoop& pair)
    : loop(pair.loop),
      operands{{kernel, kernel.node(anchor).inputs[0], pair.dimensions[0]},
               {kernel, kernel.node(anchor).inputs[1], pair.dimensions[1]}} {}

Expr RoundedProduct::term(KernelExpressions& kernel, NodeId anchor, const Index& at, const Expr& which,
                          Expr* where) const {
  const Contraction& c = *kernel.definition(anchor).contraction;
  Expr factors[2];
  for (int side = 0; side < 2; ++side) {
    const Shape& shape = kernel.node(kernel.node(anchor).inputs[side]).type.shape;
    const AffineRead read = affine_read(c, side == 0 ? c.left : c.right, shape, at);
    factors[side] = operands[side].at(read.position, which);
    if (read.inside.defined()) *where = where->defined() ? *where && read.inside : read.inside;
  }
  return factors[0] * factors[1];
}

Halide::RDom paired_domain(const Contraction& c, size_t loop, int pairs) {
  std::vector<Halide::Range> ranges = {{0, 2}, {0, pairs}};
  for (size_t i = c.loops.size(); i-- > static_cast<size_t>(c.output_rank);) {
    if (i != loop) ranges.emplace_back(0, static_cast<int>(c.extents[i]));
  }
  return Halide::RDom(ranges);
}

Index paired_loops(const Contraction& c, size_t loop, const Index& at, const Halide::RDom& r, const Expr& pair) {
  Index loops = at;
  int d = r.dimensions();
  for (size_t i = c.output_rank; i < c.loops.size(); ++i) loops.push_back(i == loop ? pair : Expr(r[--d]));
  return loops;
}

std::optional<PairedLoop> bf16_products(KernelExpressions& kernel, NodeId anchor, Knobs& knobs, int multiple) {
  const auto pair = paired_loop(kernel, anchor, multiple);
  if (!pair || knobs.choose("products", {"bf16", "f32"}, "bf16") == "f32") return {};
  return pair;
}

void RoundedOperand::compute_at_root(const Machine& machine, bool threads) {
  function.compute_root();
  vectorize(machine, extents_[0]);
  if (threads && storage_.size() > 1) {
    function.parallel(storage_.back(), std::max(1, (extents_.back() + kTasks - 1) / kTasks), TailStrategy::GuardWithIf);
  }
}

}  // namespace kiln
