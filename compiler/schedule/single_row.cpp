// Recipes for programs of one row. Their storage is plain row-major, so vectors go along features (the innermost
// dimension), whose weights passes/feature_weights has made neighbours; the inputs are broadcast. Dense layers with
// many inputs are dot products along their weights' contiguous rows instead.
#include <algorithm>

#include "lower/affine.h"
#include "lower/bf16.h"
#include "passes/feature_weights.h"
#include "schedule/recipe.h"

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

namespace {

/// Units of a dense layer side by side: so many independent chains of multiply-adds hide their latency.
constexpr int kUnits = 8;
/// Tasks that a dense layer is cut into: few enough that starting them costs nothing, enough to even out threads that
/// start late.
constexpr int kDenseTasks = 24;

/// The innermost dimension in storage order that has more than one element, from `first` on; the rank if none has.
size_t next_dimension(const Loops& loops, size_t first) {
  while (first < loops.extents.size() && loops.extents[first] == 1) ++first;
  return first;
}

/// A vector of the dimension `v`, the last one overlapping its neighbour; short dimensions are one short vector.
void vectorize(Func& f, const Loops& loops, size_t v, const Machine& machine) {
  if (v == loops.extents.size()) return;
  const int width = std::min(loops.extents[v], machine.vector);
  f.vectorize(loops.storage[v], width, TailStrategy::ShiftInwards);
}

/// True where a value that a contraction reads at `index` may lie outside the operand.
bool may_be_outside(const Contraction& c, const AffineIndex& index, int64_t extent) {
  int64_t low = index.offset, high = index.offset;
  for (size_t i = 0; i < c.extents.size(); ++i) {
    if (c.extents[i] == kBatch) continue;
    (index.coefficients[i] > 0 ? high : low) += index.coefficients[i] * (c.extents[i] - 1);
  }
  return extent != kBatch && (low < 0 || high >= extent);
}

/// The operand's element at the given loops; where positions may lie outside, through a copy of it that is zero there
/// (`padded`, to be scheduled), so that the loops over it need no conditions.
Expr read_padded(KernelExpressions& kernel, NodeId operand, const Contraction& c,
                 const std::vector<AffineIndex>& indices, const Index& loops, Func& padded) {
  const Shape& shape = kernel.node(operand).type.shape;
  bool outside = false;
  for (size_t d = 0; d < indices.size(); ++d) {
    if (indices[d].divisor != 1) throw InternalError("a divided index in a program of one row");
    outside = outside || may_be_outside(c, indices[d], shape[d]);
  }
  if (!outside) return kernel.value(operand, affine_read(c, indices, shape, loops).position);

  Index vars, clamped, at;
  Expr inside = Halide::Internal::const_true();
  for (size_t d = 0; d < indices.size(); ++d) {
    const Var v(fmt::format("p{}", indices.size() - d));
    vars.emplace_back(v);
    Expr position = static_cast<int>(indices[d].offset);
    for (size_t i = 0; i < loops.size(); ++i) {
      if (indices[d].coefficients[i] != 0)
        position = position + static_cast<int>(indices[d].coefficients[i]) * loops[i];
    }
    at.push_back(position);
    if (!may_be_outside(c, indices[d], shape[d])) {
      clamped.emplace_back(v);
      continue;
    }
    const int last = static_cast<int>(shape[d]) - 1;
    inside = inside && v >= 0 && v <= last;
    clamped.push_back(Halide::clamp(v, 0, last));
  }
  padded = Func("padded");
  padded(storage_order(vars, true)) = Halide::select(inside, kernel.value(operand, clamped), 0.f);
  return padded(storage_order(at, true));
}

/// Vectors and positions side by side, by what they cost: each step of the sum takes a multiply-add for every vector
/// and position, or the loads of both if those take longer, or the latency of one.
struct Tile {
  int vectors = 1, positions = 1;
};
Tile cheapest_tile(int vectors, int positions, int window, const Machine& machine) {
  Tile best;
  int best_cost = 0, best_size = 0;
  for (int v = 1; v <= std::min(vectors, 4); ++v) {
    for (int p = 1; p <= positions && (p == 1 || v * p * window <= machine.accumulators); ++p) {
      const int size = v * p * window;
      const int step = std::max({size, v + p * window / 2, 8});
      const int cost = tile_count(vectors, v) * tile_count(positions, p) * step;
      if (best_size == 0 || cost < best_cost || (cost == best_cost && size > best_size)) {
        best = {v, p};
        best_cost = cost;
        best_size = size;
      }
    }
  }
  return best;
}

/// Vectors along features times a tile of positions in registers; a window of pooling that follows is folded there.
Recipe features(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  const Loops sums = loops_of(node.type.shape, 1),
              loops = loops_of(kernel.node(kernel.kernel().roots[0]).type.shape, 1);
  const int image = has_batch(kernel.node(node.inputs[0]).type.shape) ? 0 : 1;
  const std::vector<NodeId>& anchors = kernel.kernel().anchors;
  const int window = anchors.size() > 1 ? static_cast<int>(element_count(kernel.definition(anchors[1]).extents)) : 1;

  Func acc("acc"), padded;
  RDom r = summed_domain(c, 1);
  const Index all = all_loops(sums.at, r);
  const AffineRead weights =
      affine_read(c, image == 0 ? c.right : c.left, kernel.node(node.inputs[1 - image]).type.shape, all);
  const Expr pixel = read_padded(kernel, node.inputs[image], c, image == 0 ? c.left : c.right, all, padded);
  if (weights.inside.defined()) r.where(weights.inside);
  acc(sums.storage) = 0.f;
  acc(sums.storage) += kernel.value(node.inputs[1 - image], weights.position) * pixel;
  bind_to(kernel, anchor, acc);
  Func output = define_output(kernel, loops);

  const size_t rank = loops.storage.size();
  const size_t v = std::min(next_dimension(loops, 1), rank - 1), p = next_dimension(loops, v + 1);
  const bool tiled = p < rank;
  const int width = std::min(loops.extents[v], machine.vector);
  const Tile standard =
      cheapest_tile(tile_count(loops.extents[v], width), tiled ? loops.extents[p] : 1, window, machine);
  const int vectors = knobs.choose("vectors", range(1, std::min(loops.extents[v] / width, 8)),
                                   std::min(standard.vectors, loops.extents[v] / width));
  const int tile =
      tiled ? knobs.choose("tile", range(1, std::min(loops.extents[p], machine.accumulators)), standard.positions) : 1;

  const Var vo("vo"), vi("vi"), po("po"), pi("pi"), task("task");
  std::vector<Halide::VarOrRVar> order = {loops.storage[0], vi};
  output.split(loops.storage[v], vo, vi, vectors * width, TailStrategy::ShiftInwards);
  if (tiled) {
    output.split(loops.storage[p], po, pi, tile, TailStrategy::ShiftInwards);
    order.insert(order.end(), {pi, po});
  }
  order.emplace_back(vo);
  std::vector<Var> outer;
  for (size_t d = 1; d < rank; ++d) {
    if (d == v || d == p) continue;
    order.emplace_back(loops.storage[d]);
    outer.push_back(loops.storage[d]);
  }
  output.reorder(order).vectorize(vi, width).unroll(vi);
  if (tiled) output.unroll(pi);

  acc.compute_at(output, tiled ? po : vo).vectorize(sums.storage[v], width);
  std::vector<Halide::VarOrRVar> update_order = {sums.storage[v]};
  for (size_t d = 0; d < rank; ++d) {
    if (d != v) update_order.emplace_back(sums.storage[d]);
    acc.unroll(sums.storage[d]);
  }
  for (int d = 0; d < r.dimensions(); ++d) update_order.emplace_back(RVar(r[d]));
  auto update = acc.update();
  update.reorder(update_order).vectorize(sums.storage[v], width);
  for (size_t d = 0; d < rank; ++d) update.unroll(sums.storage[d]);

  // Tasks: rows, or rows and groups of features where there are few rows.
  const bool threads = worth_threads(kernel, element_count(c.extents, 1) / 4);  // operands are in registers
  const int groups = tile_count(loops.extents[v], vectors * width);
  Var level = outer.empty() ? (tiled ? po : vo) : outer.back();
  std::vector<std::string> legal = {"none", "rows"};
  if (!outer.empty() && groups > 1) legal.emplace_back("rows_features");
  // Few rows: two threads would not get the same.
  const bool few_rows = loops.extents.back() < 6;
  const std::string parallel = knobs.choose("parallel", legal, !threads ? "none" : few_rows ? legal.back() : "rows");
  if (parallel == "rows_features") {
    // The groups of a row are the innermost tasks.
    std::vector<Halide::VarOrRVar> regrouped(
        order.begin(), std::find_if(order.begin(), order.end(), [&](const auto& x) { return x.name() == vo.name(); }));
    for (size_t d = 0; d + 1 < outer.size(); ++d) regrouped.emplace_back(outer[d]);
    regrouped.insert(regrouped.end(), {vo, outer.back()});
    output.reorder(regrouped).fuse(vo, outer.back(), task).parallel(task);
    if (!tiled) acc.compute_at(output, task);
    level = task;
  } else if (parallel == "rows") {
    output.parallel(level);
  }
  if (padded.defined()) {
    const std::vector<Var> vars = padded.args();
    const Shape& shape = kernel.node(node.inputs[image]).type.shape;
    if (vars.size() > 1)
      padded.vectorize(vars[1], std::min(machine.vector, static_cast<int>(shape.back())), TailStrategy::GuardWithIf);
    if (outer.empty())
      padded.compute_root();
    else
      padded.compute_at(output, level);
  }
  return {output};
}

/// Dot products of the weights' contiguous rows with the inputs, several rows at a time; lanes are added up at the end.
Recipe dots(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const Node& node = kernel.node(anchor);
  const Loops loops = loops_of(node.type.shape, 1);
  const Var n = loops.storage[0], u = loops.storage[1];
  const int units = loops.extents[1], inputs = static_cast<int>(c.extents[2]);
  const int weights = has_batch(kernel.node(node.inputs[0]).type.shape) ? 1 : 0;
  const int tile = knobs.choose("tile", range(1, std::min(units, machine.accumulators)),
                                divisor(units, kUnits) >= 4 ? divisor(units, kUnits) : std::min(units, kUnits));

  // Weights in bf16 are multiplied in pairs, by the instruction that mixed precision is for.
  const std::vector<NodeId>& leaves = kernel.kernel().leaves;
  const bool paired = kernel.node(node.inputs[weights]).type.element == ElementType::bf16 &&
                      std::count(leaves.begin(), leaves.end(), node.inputs[weights]) > 0 &&
                      knobs.choose("products", {"bf16", "f32"}, "bf16") == "bf16";
  const Var lane("lane");
  std::vector<int> widths;
  for (int width = static_cast<int>(kDotLanes); width <= 64 && inputs % (paired ? 2 * width : width) == 0; width *= 2)
    widths.push_back(width);
  const int lanes = knobs.choose("lanes", widths, widths.front());
  const int step = paired ? 2 * lanes : lanes;
  const RDom r = paired ? RDom(0, 2, 0, inputs / step) : RDom(0, inputs / step), q(0, lanes);
  Func acc("acc"), sum("sum"), rounded("rounded");
  acc(lane, u) = 0.f;
  if (paired) {
    const Expr at = 2 * lane + r[0] + step * r[1];
    rounded(lane) = to_bf16(kernel.value(node.inputs[1 - weights], {Expr(0), lane}));
    acc(lane, u) += Halide::cast<float>(kernel.image(node.inputs[weights])(at, u)) * Halide::cast<float>(rounded(at));
  } else {
    const Expr at = lane + step * r;
    acc(lane, u) += kernel.value(node.inputs[weights], {u, at}) * kernel.value(node.inputs[1 - weights], {Expr(0), at});
  }
  sum(n, u) = 0.f;
  sum(n, u) += acc(q, u);
  bind_to(kernel, anchor, sum);
  Func output = define_output(kernel, loops);

  const Var uo("uo"), ui("ui");
  output.split(u, uo, ui, tile, TailStrategy::ShiftInwards).reorder(n, ui, uo).vectorize(ui);
  sum.compute_at(output, uo).unroll(u);
  sum.update().reorder(q.x, n, u).atomic().vectorize(q.x).unroll(u);
  acc.compute_at(output, uo).vectorize(lane, machine.vector).unroll(lane).unroll(u);
  if (paired) {
    acc.update().reorder(r.x, lane, u, r.y).atomic().vectorize(r.x);
    rounded.compute_root().vectorize(lane, machine.vector);
  } else {
    acc.update().reorder(lane, u, r.x);
  }
  acc.update().vectorize(lane, machine.vector).unroll(lane).unroll(u);
  const int tiles = tile_count(units, tile);
  if (knobs.choose("parallel", {"none", "tiles"}, worth_threads(kernel) ? "tiles" : "none") == "tiles") {
    const int task = knobs.choose("tiles_per_task", divisors(tiles, tiles), divisor(tiles, tiles / kDenseTasks));
    output.parallel(uo, task, TailStrategy::GuardWithIf);
  }
  return {output};
}

/// A fold of one row; vectors along what is kept, if anything is.
Recipe fold_row(KernelExpressions& kernel, const Machine& machine) {
  const Loops loops = loops_of(kernel.node(kernel.kernel().roots[0]).type.shape, 1);
  for (const NodeId anchor : kernel.kernel().anchors) {
    const Definition& definition = kernel.definition(anchor);
    const Loops own = loops_of(kernel.node(anchor).type.shape, 1);
    std::vector<Halide::Range> domain;
    for (auto extent = definition.extents.rbegin(); extent != definition.extents.rend(); ++extent)
      domain.emplace_back(0, *extent == kBatch ? 1 : static_cast<int>(*extent));
    const RDom r(domain);
    Index reduction;
    std::vector<Halide::VarOrRVar> order;
    for (int d = r.dimensions(); d-- > 0;) reduction.emplace_back(r[d]);
    Func total("total");
    if (element_count(definition.extents, 1) == 1) {  // nothing to add up; the loops need not even occur in it
      total(own.storage) = kernel.folded(anchor, own.at, Index(definition.extents.size(), Expr(0)));
      bind_to(kernel, anchor, total);
      total.compute_root();
      continue;
    }
    total(own.storage) = identity(definition.fold, Halide::Float(32));
    total(own.storage) = combine(definition.fold, total(own.storage), kernel.folded(anchor, own.at, reduction));
    bind_to(kernel, anchor, total);
    total.compute_root();
    const size_t v = next_dimension(own, 0);
    if (v == own.extents.size()) continue;
    order.emplace_back(own.storage[v]);
    for (int d = 0; d < r.dimensions(); ++d) order.emplace_back(RVar(r[d]));
    for (size_t d = 0; d < own.storage.size(); ++d) {
      if (d != v) order.emplace_back(own.storage[d]);
    }
    total.update().reorder(order).vectorize(own.storage[v], std::min(own.extents[v], machine.vector),
                                            TailStrategy::GuardWithIf);
  }
  Func output = define_output(kernel, loops);
  vectorize(output, loops, next_dimension(loops, 0), machine);
  return {output};
}

/// Element-wise work and windows of pooling on one row.
Recipe element_wise_row(KernelExpressions& kernel, const Machine& machine, Knobs& knobs) {
  const Loops loops = loops_of(kernel.node(kernel.kernel().roots[0]).type.shape, 1);
  Func output = define_output(kernel, loops);
  const size_t v = next_dimension(loops, 0);
  vectorize(output, loops, v, machine);
  if (v + 1 < loops.storage.size() &&
      knobs.choose("parallel", {"none", "outer"}, worth_threads(kernel) ? "outer" : "none") == "outer")
    output.parallel(loops.storage.back());
  return {output};
}

}  // namespace

Recipe single_row(KernelExpressions& kernel, const Machine& machine, Knobs& knobs) {
  const auto only = [&](const char* recipe) { knobs.choose("recipe", {recipe}, recipe); };
  const NodeId anchor = kernel.kernel().anchors.front();
  const Definition& definition = kernel.definition(anchor);
  if (definition.contraction) {
    const Contraction& c = *definition.contraction;
    const Node& node = kernel.node(anchor);
    const int weights = has_batch(kernel.node(node.inputs[0]).type.shape) ? 1 : 0;
    const auto shape = [&](int side) { return kernel.node(node.inputs[side]).type.shape; };
    if (is_long_dot(c, weights, shape(0), shape(1))) {
      only("dots");
      return dots(kernel, anchor, machine, knobs);
    }
    only(has_batch(node.type.shape) ? "features" : "plain");
    return has_batch(node.type.shape) ? features(kernel, anchor, machine, knobs) : contraction_plain(kernel, anchor);
  }
  const bool window = kernel.node(anchor).attributes.count("axes") == 0;
  if (definition.fold == Fold::none || (window && element_count(definition.extents) <= kUnrolledWindow)) {
    only("element-wise");
    return element_wise_row(kernel, machine, knobs);
  }
  only("fold");
  return fold_row(kernel, machine);
}

}  // namespace kiln
