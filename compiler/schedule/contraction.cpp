#include "lower/affine.h"
#include "schedule/recipe.h"

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

namespace {

/// Accumulators that fit beside the operands in 32 vector registers.
constexpr int kAccumulators = 24;
/// Reductions longer than this are blocked, so that a block of both operands stays in the caches.
constexpr int kLongReduction = 1024;
constexpr int kReductionBlock = 96;

/// Left times right at the given loop values; `where` collects the condition under which the term counts.
Expr product(KernelExpressions& kernel, NodeId anchor, const Index& at, Expr* where) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  Expr factors[2];
  for (int side = 0; side < 2; ++side) {
    const Shape& shape = kernel.node(node.inputs[side]).type.shape;
    const AffineRead read = affine_read(c, side == 0 ? c.left : c.right, shape, at);
    factors[side] = kernel.value(node.inputs[side], read.position);
    if (read.inside.defined()) *where = where->defined() ? *where && read.inside : read.inside;
  }
  return factors[0] * factors[1];
}

/// The summed loops as a reduction domain, the last (a kernel's channel) innermost; `rows` replaces the batch's extent.
RDom summed_domain(const Contraction& c, int rows) {
  std::vector<Halide::Range> ranges;
  for (size_t i = c.loops.size(); i-- > static_cast<size_t>(c.output_rank);) {
    ranges.emplace_back(0, c.extents[i] == kBatch ? rows : static_cast<int>(c.extents[i]));
  }
  return RDom(ranges);
}

/// All loops of a contraction: the output's index, then the domain's variables in the contraction's order.
Index all_loops(const Index& at, const RDom& r) {
  Index loops = at;
  for (int d = r.dimensions(); d-- > 0;) loops.emplace_back(r[d]);
  return loops;
}

void bind_to(KernelExpressions& kernel, NodeId anchor, const Func& f) {
  const bool batched = has_batch(kernel.node(anchor).type.shape);
  kernel.bind(anchor, [f, batched](const Index& at) { return Expr(f(storage_order(at, batched))); });
}

std::string describe(const char* name, int a, int b, const char* more = "") {
  return fmt::format("{}: tile={}x{}{}", name, a, b, more);
}

}  // namespace

Recipe contraction_over_rows(KernelExpressions& kernel, NodeId anchor) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const int lanes = static_cast<int>(kernel.program().lanes);
  const Loops loops = loops_of(kernel.node(anchor).type.shape, lanes);
  const Var n = loops.storage[0], f = loops.storage.size() > 1 ? loops.storage[1] : Var("none");
  const int features = loops.storage.size() > 1 ? loops.extents[1] : 1;

  const int vectors = divisor(lanes / static_cast<int>(kVectorLanes), 4);
  const int limit = std::min(kAccumulators / vectors, 12);
  int tile = divisor(features, limit);
  TailStrategy tail = TailStrategy::Auto;
  if (features > limit && tile * 2 <= limit) {  // a prime number of features, say: the last tile overlaps its neighbour
    tile = limit;
    tail = TailStrategy::ShiftInwards;
  }

  const RDom r = summed_domain(c, 0);
  const bool blocked = r.dimensions() == 1 && c.extents.back() >= kLongReduction &&
                       c.extents.back() % kReductionBlock == 0 && features % tile == 0;
  const Var ni("ni"), fi("fi");
  std::vector<Halide::VarOrRVar> rest;
  for (size_t d = 2; d < loops.storage.size(); ++d) rest.emplace_back(loops.storage[d]);

  if (blocked) {
    // Sums of one block at a time are added to a result in memory: out = epilogue(sum over blocks).
    const int blocks = static_cast<int>(c.extents.back()) / kReductionBlock;
    const RDom ro(0, blocks), ri(0, kReductionBlock);
    const Var b("b"), g("g"), gi("gi");
    Func acc("acc"), sum("sum");
    std::vector<Expr> at(loops.storage.begin(), loops.storage.end());
    std::vector<Expr> at_b = at, at_ro = at;
    at_b.emplace_back(b);
    at_ro.emplace_back(ro);
    Index index = loops.at;
    index.emplace_back(b * kReductionBlock + ri);
    Expr where;
    acc(at_b) = 0.f;
    acc(at_b) += product(kernel, anchor, index, &where);
    sum(loops.storage) = 0.f;
    sum(loops.storage) += acc(at_ro);
    bind_to(kernel, anchor, sum);
    Func output = define_output(kernel, loops);
    // A task owns a group of features for the whole reduction; its operand's block is read from the caches by every
    // tile.
    const int group = tile * divisor(features / tile, std::max(1, 192 / tile));
    output.split(f, g, gi, group).reorder(n, gi, g).vectorize(n, static_cast<int>(kVectorLanes));
    if (features / group > 1 || worth_threads(kernel)) output.parallel(g);
    sum.compute_at(output, g).vectorize(n, static_cast<int>(kVectorLanes));
    sum.update()
        .split(f, f, fi, tile)
        .split(n, n, ni, vectors * static_cast<int>(kVectorLanes))
        .reorder(ni, fi, n, f, ro.x)
        .vectorize(ni, static_cast<int>(kVectorLanes))
        .unroll(ni)
        .unroll(fi);
    acc.compute_at(sum, n).vectorize(n, static_cast<int>(kVectorLanes)).unroll(n).unroll(f);
    acc.update().reorder(n, f, ri.x, b).vectorize(n, static_cast<int>(kVectorLanes)).unroll(n).unroll(f);
    return {
        output, describe("rows", vectors, tile, fmt::format(" block={} group={}", kReductionBlock, group).c_str()), {}};
  }

  Func acc("acc");
  Expr where;
  const Expr term = product(kernel, anchor, all_loops(loops.at, r), &where);
  RDom guarded = r;
  if (where.defined()) guarded.where(where);
  acc(loops.storage) = 0.f;
  acc(loops.storage) += term;
  bind_to(kernel, anchor, acc);
  Func output = define_output(kernel, loops);

  std::vector<Halide::VarOrRVar> order = {ni};
  output.split(n, n, ni, vectors * static_cast<int>(kVectorLanes));
  if (features > 1) {
    output.split(f, f, fi, tile, tail);
    order.emplace_back(fi);
  }
  order.emplace_back(n);
  if (features > 1) order.emplace_back(f);
  order.insert(order.end(), rest.begin(), rest.end());
  output.reorder(order).vectorize(ni, static_cast<int>(kVectorLanes)).unroll(ni);
  if (features > 1) output.unroll(fi);

  acc.compute_at(output, n).vectorize(n, static_cast<int>(kVectorLanes)).unroll(n);
  if (features > 1) acc.unroll(f);
  std::vector<Halide::VarOrRVar> update_order = {n};
  if (features > 1) update_order.emplace_back(f);
  for (int d = 0; d < r.dimensions(); ++d) update_order.emplace_back(RVar(r[d]));
  auto update = acc.update();
  update.reorder(update_order).vectorize(n, static_cast<int>(kVectorLanes)).unroll(n);
  if (features > 1) update.unroll(f);
  if (r.dimensions() > 0 && c.extents.back() == 1 && r.dimensions() > 1 && c.extents[c.extents.size() - 2] <= 8 &&
      !where.defined()) {
    update.unroll(RVar(r[1]));  // one channel: a row of the kernel at once
  }

  if (!kernel.kernel().row_sums.empty()) return with_row_sums(kernel, loops, output, describe("rows", vectors, tile));
  if (worth_threads(kernel, element_count(kernel.node(anchor).type.shape, lanes) * 8)) {
    if (rest.size() >= 2) {
      const Var tasks("tasks");
      output.fuse(loops.storage[loops.storage.size() - 2], loops.storage.back(), tasks).parallel(tasks);
    } else if (rest.size() == 1) {
      output.parallel(loops.storage.back());
    } else if (features > 1) {
      const int tiles = (features + tile - 1) / tile;
      const int task = std::max(1, tiles / 48);
      if (task > 1)
        output.parallel(f, task, TailStrategy::GuardWithIf);
      else
        output.parallel(f);
    }
  }
  return {output, describe("rows", vectors, tile), {}};
}

Recipe contraction_of_rows(KernelExpressions& kernel, NodeId anchor) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  const int lanes = static_cast<int>(kernel.program().lanes);
  const Loops loops = loops_of(node.type.shape, lanes);  // storage: v (innermost), u
  const Var v = loops.storage[0], u = loops.storage[1];
  const int inner = loops.extents[0], outer = loops.extents[1];
  const size_t inner_loop = 1;                                       // the user's order is (u, v)
  const int side = c.left[1].coefficients[inner_loop] != 0 ? 0 : 1;  // the operand that is transposed
  const NodeId wide = node.inputs[side], broadcast = node.inputs[1 - side];

  const Var row("row");
  Func transposed("transposed"), sum("sum");
  const Expr inside = Halide::min(v, inner - 1);  // vectors at the tail read on
  transposed(v, row) = kernel.value(wide, {row, inner % kVectorLanes == 0 ? Expr(v) : inside});
  const RDom r(0, lanes);
  sum(v, u) = 0.f;
  sum(v, u) += transposed(v, r) * kernel.value(broadcast, {r, u});
  bind_to(kernel, anchor, sum);
  Func output = define_output(kernel, loops);

  const int vector = static_cast<int>(kVectorLanes);
  int vectors = 1, tile = divisor(outer, 8);
  const bool even = inner % vector == 0;
  if (even) {
    int best = 0;
    for (int candidate = 1; candidate <= 4; ++candidate) {
      if (inner / vector % candidate != 0) continue;
      const int rows = divisor(outer, kAccumulators / candidate);
      if (candidate * rows > best || (candidate * rows == best && candidate > 1)) {
        best = candidate * rows;
        vectors = candidate;
        tile = rows;
      }
    }
  }
  const Var vo("vo"), vi("vi"), uo("uo"), ui("ui");
  output.split(v, vo, vi, vectors * vector, even ? TailStrategy::RoundUp : TailStrategy::GuardWithIf)
      .split(u, uo, ui, tile)
      .reorder(vi, ui, vo, uo)
      .vectorize(vi, vector)
      .unroll(vi)
      .unroll(ui);
  sum.compute_at(output, vo).vectorize(v, vector).unroll(v).unroll(u);
  sum.update().reorder(v, u, r.x).vectorize(v, vector).unroll(v).unroll(u);
  transposed.compute_root();
  if (even) {
    const Var to("to"), ti("ti");
    transposed.split(v, to, ti, vector).reorder(ti, row, to).vectorize(ti).unroll(row, 4);
  }
  if (worth_threads(kernel)) {
    const int task = std::max(1, outer / tile / 48);
    if (task > 1)
      output.parallel(uo, task, TailStrategy::GuardWithIf);
    else
      output.parallel(uo);
  }
  // The next tile of everything streamed: the weights and their state.
  for (NodeId leaf : kernel.kernel().leaves) {
    if (kernel.node(leaf).type.shape == node.type.shape) output.prefetch(kernel.image(leaf), vo, vo, 1);
  }
  return {output, describe("transposed rows", vectors, tile), {}};
}

Recipe contraction_in_lanes(KernelExpressions& kernel, NodeId anchor) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  const int lanes = static_cast<int>(kernel.program().lanes), vector = static_cast<int>(kVectorLanes);
  const Loops loops = loops_of(node.type.shape, lanes);

  // acc(lane, result) sums rows lane, lane + 16, ...; the domain's batch loop counts vectors.
  const Var lane("lane");
  RDom r = summed_domain(c, lanes / vector);
  Index index = all_loops(loops.at, r);
  int batch_dimension = -1;
  for (size_t i = c.output_rank; i < c.loops.size(); ++i) {
    if (c.extents[i] != kBatch) continue;
    batch_dimension = static_cast<int>(c.loops.size() - 1 - i);
    index[i] = lane + vector * index[i];
  }
  Func acc("acc"), sum("sum");
  std::vector<Expr> acc_at = {lane};
  for (const Var& v : loops.storage) acc_at.emplace_back(v);
  Expr where;
  const Expr term = product(kernel, anchor, index, &where);
  if (where.defined()) r.where(where);
  acc(acc_at) = 0.f;
  acc(acc_at) += term;
  const RDom q(0, vector);
  std::vector<Expr> read_at = {Expr(q.x)};
  for (const Var& v : loops.storage) read_at.emplace_back(v);
  sum(loops.storage) = 0.f;
  sum(loops.storage) += acc(read_at);
  bind_to(kernel, anchor, sum);
  Func output = define_output(kernel, loops);

  // A tile takes several values of dimensions that only one operand has, so that each load feeds several products.
  const auto appears = [&](const std::vector<AffineIndex>& indices, size_t loop) {
    return std::any_of(indices.begin(), indices.end(), [&](const AffineIndex& i) { return i.coefficients[loop] != 0; });
  };
  std::vector<int> tiles(loops.storage.size(), 1);
  int left_tile = 1, right_tile = 1;
  const auto loop_of = [&](size_t d) {
    return loops.storage.size() - 1 - d;
  };  // storage is the reverse of the user's order
  for (size_t d = 0; d < loops.storage.size(); ++d) {
    const bool left = appears(c.left, loop_of(d)), right = appears(c.right, loop_of(d));
    if (left == right) continue;
    // A kernel's rows and columns move the other operand: their guard must not be part of the tile.
    const bool guards = where.defined() && d > 0 && d + 1 < loops.storage.size();
    if (guards) continue;
    int& own = left ? left_tile : right_tile;
    const int limit = (left ? 6 : 4) / own;
    if (limit < 2) continue;
    tiles[d] =
        divisor(loops.extents[d],
                left_tile == 1 && right_tile == 1 ? limit : std::min(limit, kAccumulators / (left_tile * right_tile)));
    own *= tiles[d];
  }
  // One side has little to offer (a single channel): the other takes more.
  for (size_t d = 0; d < loops.storage.size(); ++d) {
    if (tiles[d] > 1 && left_tile * right_tile * 2 <= kAccumulators) {
      const int before = tiles[d];
      tiles[d] = divisor(loops.extents[d], before * (kAccumulators / (left_tile * right_tile)));
      (appears(c.left, loop_of(d)) ? left_tile : right_tile) *= tiles[d] / before;
    }
  }

  auto update = sum.update();
  std::vector<Halide::VarOrRVar> order = {q.x};
  std::vector<Halide::VarOrRVar> outer;
  std::vector<Halide::VarOrRVar> acc_order = {lane};
  std::vector<Var> inner;
  for (size_t d = 0; d < loops.storage.size(); ++d) {
    const Var& v = loops.storage[d];
    if (tiles[d] > 1) {
      const Var in(v.name() + "i");
      update.split(v, v, in, tiles[d]);
      order.emplace_back(in);
      inner.push_back(in);
      acc_order.emplace_back(v);
    }
    outer.emplace_back(v);
  }
  order.insert(order.end(), outer.begin(), outer.end());
  update.reorder(order).atomic().vectorize(q.x);
  for (const Var& v : inner) update.unroll(v);
  const bool threads = worth_threads(kernel, element_count(node.type.shape) * lanes);
  sum.compute_root();
  size_t task = loops.storage.size() - 1;
  while (task > 0 && loops.extents[task] == 1) --task;
  if (threads) update.parallel(loops.storage[task]);

  if (batch_dimension >= 0) acc_order.emplace_back(RVar(r[batch_dimension]));
  for (int d = 0; d < r.dimensions(); ++d) {
    if (d != batch_dimension) acc_order.emplace_back(RVar(r[d]));
  }
  acc.compute_at(sum, loops.storage[0]).vectorize(lane);
  auto acc_update = acc.update();
  acc_update.reorder(acc_order).vectorize(lane);
  for (size_t d = 0; d < loops.storage.size(); ++d) {
    if (tiles[d] == 1) continue;
    acc.unroll(loops.storage[d]);
    acc_update.unroll(loops.storage[d]);
  }
  if (loops.extents[0] >= vector) output.vectorize(loops.storage[0], vector, TailStrategy::GuardWithIf);
  return {output, describe("lanes", left_tile, right_tile), {}};
}

Recipe contraction_plain(KernelExpressions& kernel, NodeId anchor) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Loops loops = loops_of(kernel.node(anchor).type.shape, kernel.program().lanes);
  RDom r = summed_domain(c, 0);
  Func acc("acc");
  Expr where;
  const Expr term = product(kernel, anchor, all_loops(loops.at, r), &where);
  if (where.defined()) r.where(where);
  acc(loops.storage) = 0.f;
  acc(loops.storage) += term;
  bind_to(kernel, anchor, acc);
  Func output = define_output(kernel, loops);
  acc.compute_root();
  return {output, "plain", {}};
}

}  // namespace kiln
