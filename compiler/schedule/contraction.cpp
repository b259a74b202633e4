#include "lower/affine.h"
#include "lower/bf16.h"
#include "schedule/dot_product.h"
#include "schedule/recipe.h"

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

namespace {

/// Reductions longer than this are blocked, so that a block of both operands stays in the caches.
constexpr int kLongReduction = 1024;
constexpr int kReductionBlock = 96;
/// Features of a task that goes through a long reduction by itself: long rows of its operand, and for two threads an
/// even number of tasks.
constexpr int kGroup = 144;
/// Vectors of sums that keep two multiply-adds a cycle, of a latency of four, from waiting for each other.
constexpr int kSums = 8;
/// Tasks of a loop over tiles: more would cost more than they balance.
constexpr int kTasks = 48;

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

/// True where every term of the sum reads its operands inside.
bool reads_inside(KernelExpressions& kernel, NodeId anchor, const Index& at) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  const Index loops = all_loops(at, summed_domain(c, static_cast<int>(kernel.program().lanes)));
  return !affine_read(c, c.left, kernel.node(node.inputs[0]).type.shape, loops).inside.defined() &&
         !affine_read(c, c.right, kernel.node(node.inputs[1]).type.shape, loops).inside.defined();
}

}  // namespace

RDom summed_domain(const Contraction& c, int rows) {
  std::vector<Halide::Range> ranges;
  for (size_t i = c.loops.size(); i-- > static_cast<size_t>(c.output_rank);) {
    ranges.emplace_back(0, c.extents[i] == kBatch ? rows : static_cast<int>(c.extents[i]));
  }
  return RDom(ranges);
}

Index all_loops(const Index& at, const RDom& r) {
  Index loops = at;
  for (int d = r.dimensions(); d-- > 0;) loops.emplace_back(r[d]);
  return loops;
}

void bind_to(KernelExpressions& kernel, NodeId node, const Func& f) {
  const bool batched = has_batch(kernel.node(node).type.shape);
  kernel.bind(node, [f, batched](const Index& at) { return Expr(f(storage_order(at, batched))); });
}

namespace {

/// The values of a knob for tiles of `extent`: its divisors, and up to `limit` every number if tiles may overlap.
std::vector<int> tile_sizes(int extent, int limit, bool overlap) {
  return overlap ? range(1, std::min(extent, limit)) : divisors(extent, limit);
}

/// Makes tasks of the tiles `loop` counts, equally many to a task where there are many.
void parallel_tiles(Func& output, const Var& loop, int tiles, bool standard, Knobs& knobs) {
  if (!knobs.choose("parallel", {"none", "tiles"}, standard ? "tiles" : "none").starts_with("tiles")) return;
  const int task = knobs.choose("tiles_per_task", divisors(tiles, tiles), divisor(tiles, tiles / kTasks));
  if (task > 1) {
    const Var tasks("tasks");
    output.split(loop, tasks, loop, task).parallel(tasks);
  } else {
    output.parallel(loop);
  }
}

}  // namespace

Recipe contraction_over_rows(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const int lanes = static_cast<int>(kernel.program().lanes), vector = machine.vector;
  const bool pooled = kernel.kernel().anchors.size() > 1;
  const Loops loops = loops_of(kernel.node(pooled ? kernel.kernel().roots[0] : anchor).type.shape, lanes);
  const Var n = loops.storage[0], f = loops.storage.size() > 1 ? loops.storage[1] : Var("none");
  const int features = loops.storage.size() > 1 ? loops.extents[1] : 1;

  const auto pair = bf16_products(kernel, anchor, knobs);
  std::optional<RoundedProduct> rounded;
  if (pair) rounded.emplace(kernel, anchor, *pair);
  const int of_rows = has_batch(kernel.node(kernel.node(anchor).inputs[0]).type.shape) ? 0 : 1;

  const int standard_vectors = machine.accumulators >= 24 ? 4 : 2;
  const int vectors = knobs.choose("vectors", divisors(lanes / vector, 8), divisor(lanes / vector, standard_vectors));
  const int limit = std::max(1, std::min(machine.accumulators / vectors, 12));
  // A prime number of features, say: the last tile overlaps its neighbour.
  const bool uneven = features > limit && divisor(features, limit) * 2 <= limit;
  const bool long_reduction = c.extents.size() == static_cast<size_t>(c.output_rank) + 1 &&
                              c.extents.back() != kBatch && c.extents.back() >= 2 * kReductionBlock &&
                              reads_inside(kernel, anchor, loops.at);  // blocks have no guard
  int block = 0;
  if (long_reduction) {
    const int length = static_cast<int>(c.extents.back());
    const int step = pair ? 2 : 1;  // blocks of whole pairs
    const int largest = step * divisor(length / step, kReductionBlock / step);
    const int standard = length >= kLongReduction && !uneven && largest >= kReductionBlock / 2 ? largest : 0;
    std::vector<int> legal = {0};
    for (int d : divisors(length, 512)) {
      if (d >= 16 && d % step == 0) legal.push_back(d);
    }
    block = knobs.choose("block", legal, standard);
  }
  const int tile = knobs.choose("tile", tile_sizes(features, std::max(2 * limit, 12), block == 0),
                                uneven && block == 0 ? limit : divisor(features, limit));
  const TailStrategy tail = features % tile == 0 ? TailStrategy::Auto : TailStrategy::ShiftInwards;

  const Var ni("ni"), fi("fi");
  std::vector<Halide::VarOrRVar> rest;
  for (size_t d = 2; d < loops.storage.size(); ++d) rest.emplace_back(loops.storage[d]);

  if (block > 0) {
    // Sums of one block at a time are added to a result in memory: out = epilogue(sum over blocks).
    const int blocks = static_cast<int>(c.extents.back()) / block;
    const RDom ro(0, blocks), ri = pair ? RDom(0, 2, 0, block / 2) : RDom(0, block);
    const Var b("b"), g("g"), gi("gi");
    Func acc("acc"), sum("sum");
    std::vector<Expr> at(loops.storage.begin(), loops.storage.end());
    std::vector<Expr> at_b = at, at_ro = at;
    at_b.emplace_back(b);
    at_ro.emplace_back(ro);
    Index index = loops.at;
    index.emplace_back(pair ? b * (block / 2) + ri[1] : b * block + ri);
    Expr where;
    acc(at_b) = 0.f;
    acc(at_b) += pair ? rounded->term(kernel, anchor, index, ri[0], &where) : product(kernel, anchor, index, &where);
    sum(loops.storage) = 0.f;
    sum(loops.storage) += acc(at_ro);
    bind_to(kernel, anchor, sum);
    Func output = define_output(kernel, loops);
    // A task owns a group of features for the whole reduction; its operand's block is read from the caches by every
    // tile.
    const int group = tile * knobs.choose("tiles_per_task", divisors(features / tile, 256),
                                          divisor(features / tile, std::max(1, kGroup / tile)));
    output.split(f, g, gi, group).reorder(n, gi, g).vectorize(n, vector);
    if (knobs.choose("parallel", {"none", "tiles"}, features / group > 1 || worth_threads(kernel) ? "tiles" : "none") ==
        "tiles")
      output.parallel(g);
    sum.compute_at(output, g).vectorize(n, vector);
    sum.update()
        .split(f, f, fi, tile)
        .split(n, n, ni, vectors * vector)
        .reorder(ni, fi, n, f, ro.x)
        .vectorize(ni, vector)
        .unroll(ni)
        .unroll(fi);
    acc.compute_at(sum, n).vectorize(n, vector).unroll(n).unroll(f);
    if (pair) {
      acc.update().reorder(ri.x, n, f, ri.y, b).atomic().vectorize(ri.x);
      rounded->operands[of_rows].compute_at_root(machine, worth_threads(kernel));
      rounded->operands[1 - of_rows].function.compute_at(sum, ro.x);
      rounded->operands[1 - of_rows].vectorize(machine, rounded->operands[1 - of_rows].neighbours() ? block : group);
    } else {
      acc.update().reorder(n, f, ri.x, b);
    }
    acc.update().vectorize(n, vector).unroll(n).unroll(f);
    return {output};
  }

  Func acc("acc");
  Expr where;
  const RDom r = pair ? paired_domain(c, pair->loop, static_cast<int>(c.extents[pair->loop] / 2)) : summed_domain(c, 0);
  const Expr term = pair ? rounded->term(kernel, anchor, paired_loops(c, pair->loop, loops.at, r, r[1]), r[0], &where)
                         : product(kernel, anchor, all_loops(loops.at, r), &where);
  RDom guarded = r;
  if (where.defined()) guarded.where(where);
  acc(loops.storage) = 0.f;
  acc(loops.storage) += term;
  // The positions of a pooling window, one after the other, each with the whole register tile.
  Func window("window");
  window(loops.storage) = acc(loops.storage);
  bind_to(kernel, anchor, pooled ? window : acc);
  Func output = define_output(kernel, loops);

  std::vector<Halide::VarOrRVar> order = {ni};
  output.split(n, n, ni, vectors * vector);
  if (features > 1) {
    output.split(f, f, fi, tile, tail);
    order.emplace_back(fi);
  }
  order.emplace_back(n);
  if (features > 1) order.emplace_back(f);
  order.insert(order.end(), rest.begin(), rest.end());
  output.reorder(order).vectorize(ni, vector).unroll(ni);
  if (features > 1) output.unroll(fi);

  if (pooled) {
    window.compute_at(output, n).vectorize(n, vector).unroll(n);
    if (features > 1) window.unroll(f);
    acc.compute_at(window, loops.storage[2]);
  } else {
    acc.compute_at(output, n);
  }
  acc.vectorize(n, vector).unroll(n);
  if (features > 1) acc.unroll(f);
  std::vector<Halide::VarOrRVar> update_order = {n};
  if (features > 1) update_order.emplace_back(f);
  for (int d = pair ? 1 : 0; d < r.dimensions(); ++d) update_order.emplace_back(RVar(r[d]));
  if (pair) update_order.insert(update_order.begin(), RVar(r[0]));
  auto update = acc.update();
  update.reorder(update_order);
  if (pair) update.atomic().vectorize(RVar(r[0]));
  update.vectorize(n, vector).unroll(n);
  if (features > 1) update.unroll(f);
  if (pair) {
    rounded->operands[of_rows].compute_at_root(machine, worth_threads(kernel));
    // Weights that lie in pairs and are read once, a dense layer's, are rounded a vector at a time between the dot
    // products, which hide the time that they take from memory.
    RoundedOperand& weights = rounded->operands[1 - of_rows];
    if (rest.empty() && features > 1 && weights.neighbours()) {
      const int pairs = static_cast<int>(c.extents[pair->loop] / 2);
      std::vector<int> legal = {pairs};
      for (int d : divisors(pairs, vectors * vector == lanes ? pairs - 1 : 0)) {
        if (2 * d % vector == 0) legal.push_back(d);
      }
      std::sort(legal.begin(), legal.end());
      const int chunk = knobs.choose("rounded_pairs", legal, legal.front());
      if (chunk == pairs) {
        weights.function.compute_at(output, f);
      } else {
        const RVar outer("outer"), inner("inner");
        update.split(RVar(r[1]), outer, inner, chunk);
        weights.function.compute_at(acc, outer);
      }
      weights.vectorize(machine, 2 * chunk);
    } else {
      weights.compute_at_root(machine, false);
    }
  }
  if (!pair && r.dimensions() > 0 && c.extents.back() == 1 && r.dimensions() > 1 &&
      c.extents[c.extents.size() - 2] <= 8 && !where.defined()) {
    update.unroll(RVar(r[1]));  // one channel: a row of the kernel at once
  }

  if (!kernel.kernel().row_sums.empty()) return with_row_sums(kernel, loops, output, machine, knobs);
  const bool threads = worth_threads(kernel, element_count(kernel.node(anchor).type.shape, lanes) * 8);
  if (rest.empty()) {
    if (features > 1) parallel_tiles(output, f, (features + tile - 1) / tile, threads, knobs);
    return {output};
  }
  std::vector<std::string> legal = {"none", "outer"};
  if (rest.size() > 1) legal.emplace_back("outer2");
  const std::string parallel = knobs.choose("parallel", legal, threads ? legal.back() : "none");
  if (parallel == "outer2") {
    const Var tasks("tasks");
    output.fuse(loops.storage[loops.storage.size() - 2], loops.storage.back(), tasks).parallel(tasks);
  } else if (parallel == "outer") {
    output.parallel(loops.storage.back());
  }
  return {output};
}

Recipe contraction_of_rows(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  const int lanes = static_cast<int>(kernel.program().lanes);
  const Loops loops = loops_of(node.type.shape, lanes);  // storage: v (innermost), u
  const Var v = loops.storage[0], u = loops.storage[1];
  const int inner = loops.extents[0], outer = loops.extents[1], vector = machine.vector;
  const bool even = inner % vector == 0;
  const size_t inner_loop = 1;                                       // the user's order is (u, v)
  const int side = c.left[1].coefficients[inner_loop] != 0 ? 0 : 1;  // the operand that is transposed
  const NodeId wide = node.inputs[side], broadcast = node.inputs[1 - side];

  const Var row("row");
  Func transposed("transposed"), sum("sum");
  const Expr inside = Halide::min(v, inner - 1);  // vectors at the tail read on
  const Expr column = even ? Expr(v) : inside;
  const auto pair = bf16_products(kernel, anchor, knobs);
  const Var which("which");
  std::optional<RoundedOperand> rounded;  // the operand that is not transposed
  RDom r(0, lanes);
  sum(v, u) = 0.f;
  if (pair) {
    r = RDom(0, 2, 0, lanes / 2);
    rounded.emplace(kernel, broadcast, 0);
    transposed(which, v, row) = to_bf16(kernel.value(wide, {2 * row + which, column}));
    sum(v, u) += Halide::cast<float>(transposed(r.x, v, r.y)) * rounded->at({r.y, u}, r.x);
  } else {
    transposed(v, row) = kernel.value(wide, {row, column});
    sum(v, u) += transposed(v, r) * kernel.value(broadcast, {r, u});
  }
  bind_to(kernel, anchor, sum);
  Func output = define_output(kernel, loops);

  // Sums enough to hide the latency of multiply-adds, and no more: while a small tile is in its epilogue, often an
  // optimizer's update of weights in memory, the processor has begun with the products of the next. Dot products of
  // bf16 wait for their operands instead: large tiles, of several vectors, load less.
  const int sums = pair && even ? machine.accumulators : kSums;
  int vectors = 1, tile = divisor(outer, sums);
  for (int candidate : divisors(even ? inner / vector : 1, 4)) {
    const int rows = divisor(outer, sums / candidate);
    if (candidate * rows > vectors * tile || (pair && candidate * rows == vectors * tile)) {
      vectors = candidate;
      tile = rows;
    }
  }
  vectors = knobs.choose("vectors", even ? divisors(inner / vector, 6) : std::vector<int>{1}, vectors);
  tile = knobs.choose("tile", divisors(outer, 32), std::min(tile, divisor(outer, machine.accumulators / vectors)));
  const Var vo("vo"), vi("vi"), uo("uo"), ui("ui");
  output.split(v, vo, vi, vectors * vector, even ? TailStrategy::RoundUp : TailStrategy::GuardWithIf)
      .split(u, uo, ui, tile)
      .reorder(vi, ui, vo, uo)
      .vectorize(vi, vector)
      .unroll(vi)
      .unroll(ui);
  sum.compute_at(output, vo).vectorize(v, vector).unroll(v).unroll(u);
  if (pair) {
    sum.update().reorder(r.x, v, u, r.y).atomic().vectorize(r.x);
    rounded->function.compute_at(output, uo);
    rounded->vectorize(machine, lanes);
    transposed.bound(which, 0, 2).reorder(which, v, row).unroll(which);
  } else {
    sum.update().reorder(v, u, r.x);
  }
  sum.update().vectorize(v, vector).unroll(v).unroll(u);
  transposed.compute_root();
  if (even) {
    const Var to("to"), ti("ti");
    transposed.split(v, to, ti, vector).vectorize(ti);
    if (pair)
      transposed.reorder(which, ti, row, to);
    else
      transposed.reorder(ti, row, to);
    transposed.unroll(row, 4);
  }
  parallel_tiles(output, uo, outer / tile, worth_threads(kernel), knobs);
  // The next tile of everything streamed: the weights and their state.
  const int distance = knobs.choose("prefetch", range(0, 4), 1);
  for (NodeId leaf : kernel.kernel().leaves) {
    if (distance > 0 && kernel.node(leaf).type.shape == node.type.shape)
      output.prefetch(kernel.image(leaf), vo, vo, distance);
  }
  return {output};
}

Recipe contraction_in_lanes(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  const int lanes = static_cast<int>(kernel.program().lanes), vector = machine.vector;
  const Loops loops = loops_of(node.type.shape, lanes);

  // acc(lane, result) sums rows lane, lane + vector, ...; the domain's batch loop counts vectors.
  const Var lane("lane");
  const auto pair = bf16_products(kernel, anchor, knobs, 2 * vector);
  std::optional<RoundedProduct> rounded;
  if (pair) rounded.emplace(kernel, anchor, *pair);
  RDom r = pair ? paired_domain(c, pair->loop, lanes / vector / 2) : summed_domain(c, lanes / vector);
  Index index = pair ? paired_loops(c, pair->loop, loops.at, r, lane + vector * r[1]) : all_loops(loops.at, r);
  int batch_dimension = pair ? 1 : -1;
  for (size_t i = c.output_rank; i < c.loops.size() && !pair; ++i) {
    if (c.extents[i] != kBatch) continue;
    batch_dimension = static_cast<int>(c.loops.size() - 1 - i);
    index[i] = lane + vector * index[i];
  }
  Func acc("acc"), sum("sum");
  std::vector<Expr> acc_at = {lane};
  for (const Var& v : loops.storage) acc_at.emplace_back(v);
  Expr where;
  const Expr term = pair ? rounded->term(kernel, anchor, index, r[0], &where) : product(kernel, anchor, index, &where);
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
    tiles[d] = divisor(loops.extents[d], left_tile == 1 && right_tile == 1
                                             ? limit
                                             : std::min(limit, machine.accumulators / (left_tile * right_tile)));
    own *= tiles[d];
  }
  // One side has little to offer (a single channel): the other takes more.
  for (size_t d = 0; d < loops.storage.size(); ++d) {
    if (tiles[d] > 1 && left_tile * right_tile * 2 <= machine.accumulators) {
      const int before = tiles[d];
      tiles[d] = divisor(loops.extents[d], before * (machine.accumulators / (left_tile * right_tile)));
      (appears(c.left, loop_of(d)) ? left_tile : right_tile) *= tiles[d] / before;
    }
  }

  for (size_t d = 0; d < loops.storage.size(); ++d) {
    if (appears(c.left, loop_of(d)) == appears(c.right, loop_of(d))) continue;
    tiles[d] = knobs.choose("tile_" + c.loops[loop_of(d)], divisors(loops.extents[d], machine.accumulators), tiles[d]);
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
  if (knobs.choose("parallel", {"none", "outer"}, threads ? "outer" : "none") == "outer")
    update.parallel(loops.storage[task]);

  if (batch_dimension >= 0) acc_order.emplace_back(RVar(r[batch_dimension]));
  for (int d = pair ? 1 : 0; d < r.dimensions(); ++d) {
    if (d != batch_dimension) acc_order.emplace_back(RVar(r[d]));
  }
  if (pair) acc_order.insert(acc_order.begin(), RVar(r[0]));
  acc.compute_at(sum, loops.storage[0]).vectorize(lane);
  auto acc_update = acc.update();
  acc_update.reorder(acc_order);
  if (pair) {
    acc_update.atomic().vectorize(RVar(r[0]));
    for (RoundedOperand& operand : rounded->operands) operand.compute_at_root(machine, threads);
  }
  acc_update.vectorize(lane);
  for (size_t d = 0; d < loops.storage.size(); ++d) {
    if (tiles[d] == 1) continue;
    acc.unroll(loops.storage[d]);
    acc_update.unroll(loops.storage[d]);
  }
  if (loops.extents[0] >= vector) output.vectorize(loops.storage[0], vector, TailStrategy::GuardWithIf);
  return {output};
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
  return {output};
}

}  // namespace kiln
