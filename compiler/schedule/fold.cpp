#include "lower/affine.h"
#include "schedule/recipe.h"

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::RVar;
using Halide::Tuple;
using Halide::Var;

namespace {

Expr element(const Func& f, const std::vector<Expr>& at, size_t i, size_t count) {
  return count == 1 ? Expr(f(at)) : Expr(f(at)[static_cast<int>(i)]);
}

void define(Func& f, const std::vector<Expr>& at, const std::vector<Expr>& values) {
  if (values.size() == 1)
    f(at) = values[0];
  else
    f(at) = Tuple(values);
}

}  // namespace

namespace {

/// Folds over the batch as two functions: part(lane, kept..., slab) folds every `width`-th row, total(kept...) the
/// lanes and slabs in index order. A slab is an index of the outermost dimension, where that is folded too; slabs run
/// in parallel. The order depends on shapes only, so the bits are the same for any number of threads.
struct BatchFolds {
  Func part{"part"}, total{"total"};
  Loops loops;  // of the results, without the batch
  RDom rows, lanes;
  Var lane{"lane"}, slab{"slab"};
  int width = 0;   // lanes side by side
  int vector = 0;  // of the processor
  int tile = 1;    // kept features side by side, so that the additions overlap
  bool slabs = false;
  size_t count = 0;
};

BatchFolds define_folds(KernelExpressions& kernel, const std::vector<NodeId>& anchors, const Machine& machine,
                        Knobs& knobs) {
  const Node& first = kernel.node(anchors[0]);
  const Definition& definition = kernel.definition(anchors[0]);
  const auto& axes = std::get<std::vector<int64_t>>(first.attributes.at("axes"));
  const Shape& input = kernel.node(first.inputs[0]).type.shape;
  const int64_t lanes = kernel.program().lanes;
  const size_t rank = input.size();
  const auto folded = [&](size_t axis) { return std::count(axes.begin(), axes.end(), static_cast<int64_t>(axis)) > 0; };

  BatchFolds f;
  f.count = anchors.size();
  f.loops = loops_of(first.type.shape, lanes);
  f.slabs = rank > 2 && folded(1);
  if (rank > 1 && !folded(rank - 1)) {
    const int features = static_cast<int>(input[rank - 1]);
    f.tile = knobs.choose("fold_tile", divisors(features, 8), divisor(features, 4));
  }
  // Sums in other lanes would be rounded differently on processors with other vectors: the standard width is one.
  std::vector<int> widths;
  for (int width = machine.vector; width <= 64 && lanes % width == 0; width *= 2) widths.push_back(width);
  int width = static_cast<int>(kVectorLanes);
  while (width * 2 <= 64 && lanes % (width * 2) == 0 && width / kVectorLanes * f.tile < 4) width *= 2;
  f.width = knobs.choose("fold_lanes", widths, width);
  f.vector = machine.vector;

  std::vector<Expr> part_at = {f.lane};
  for (const Var& v : f.loops.storage) part_at.emplace_back(v);
  if (f.slabs) part_at.emplace_back(f.slab);
  std::vector<Halide::Range> domain = {{0, static_cast<int>(lanes / f.width)}};
  std::vector<size_t> domain_axes;  // from the innermost out
  for (size_t axis = rank; axis-- > 1;) {
    if (!folded(axis) || (f.slabs && axis == 1)) continue;
    domain.emplace_back(0, static_cast<int>(input[axis]));
    domain_axes.push_back(axis);
  }
  f.rows = RDom(domain);
  const Expr row = f.lane + f.width * f.rows[0];
  Index reduction;  // in the order of `axes`
  for (int64_t axis : axes) {
    const auto at = std::find(domain_axes.begin(), domain_axes.end(), axis) - domain_axes.begin();
    if (axis == 0)
      reduction.push_back(row);
    else if (f.slabs && axis == 1)
      reduction.emplace_back(f.slab);
    else
      reduction.emplace_back(f.rows[1 + static_cast<int>(at)]);
  }

  const Expr none = identity(definition.fold, Halide::Float(32));
  const std::vector<Expr> nothing(f.count, none);
  std::vector<Expr> parts, totals;
  define(f.part, part_at, nothing);
  for (size_t i = 0; i < f.count; ++i) {
    const Expr value = Halide::select(row < kernel.count(), kernel.folded(anchors[i], f.loops.at, reduction), none);
    parts.push_back(combine(definition.fold, element(f.part, part_at, i, f.count), value));
  }
  define(f.part, part_at, parts);

  std::vector<Halide::Range> second = {{0, f.width}};
  if (f.slabs) second.emplace_back(0, static_cast<int>(input[1]));
  f.lanes = RDom(second);
  std::vector<Expr> total_at, read_at = {Expr(f.lanes[0])};
  for (const Var& v : f.loops.storage) {
    total_at.emplace_back(v);
    read_at.emplace_back(v);
  }
  if (f.slabs) read_at.emplace_back(f.lanes[1]);
  define(f.total, total_at, nothing);
  for (size_t i = 0; i < f.count; ++i) {
    totals.push_back(
        combine(definition.fold, element(f.total, total_at, i, f.count), element(f.part, read_at, i, f.count)));
  }
  define(f.total, total_at, totals);
  return f;
}

/// Vectors of lanes, tiles of kept features, then the folded dimensions, then the kept ones.
void order_loops(BatchFolds& f) {
  f.part.vectorize(f.lane, f.vector).unroll(f.lane);
  f.total.update().atomic().vectorize(f.lanes[0], f.vector);
  auto update = f.part.update();
  const Var tile("tile");
  std::vector<Halide::VarOrRVar> order = {f.lane};
  if (f.tile > 1) {
    update.split(f.loops.storage[0], f.loops.storage[0], tile, f.tile);
    order.emplace_back(tile);
  }
  for (int d = 0; d < f.rows.dimensions(); ++d) order.emplace_back(RVar(f.rows[d]));
  for (const Var& v : f.loops.storage) order.emplace_back(v);
  if (f.slabs) order.emplace_back(f.slab);
  update.reorder(order).vectorize(f.lane, f.vector).unroll(f.lane);
  if (f.tile > 1) update.unroll(tile);
}

}  // namespace

Recipe fold_over_batch(KernelExpressions& kernel, const Machine& machine, Knobs& knobs) {
  const std::vector<NodeId>& anchors = kernel.kernel().anchors;
  BatchFolds f = define_folds(kernel, anchors, machine, knobs);
  for (size_t i = 0; i < f.count; ++i) {
    kernel.bind(anchors[i], [total = f.total, i, count = f.count](const Index& at) {
      return element(total, std::vector<Expr>(at.rbegin(), at.rend()), i, count);
    });
  }
  Func output = define_output(kernel, f.loops);
  f.part.compute_root();
  f.total.compute_root();
  order_loops(f);
  const std::vector<Var>& kept = f.loops.storage;
  if (!kept.empty() && f.loops.extents[0] >= machine.vector)
    output.vectorize(kept[0], machine.vector, Halide::TailStrategy::GuardWithIf);

  const Shape& input = kernel.node(kernel.node(anchors[0]).inputs[0]).type.shape;
  if (!f.slabs && kept.empty()) return {output};
  const bool worth = worth_threads(kernel, element_count(input, kernel.program().lanes));
  const bool threads = knobs.choose("parallel", {"none", "outer"}, worth ? "outer" : "none") == "outer";
  if (threads && f.slabs) {
    f.part.parallel(f.slab);
    f.part.update().parallel(f.slab);
  } else if (threads && !kept.empty()) {
    // Of the kept dimensions the outermost that is not 1.
    size_t d = kept.size() - 1;
    while (d > 0 && f.loops.extents[d] == 1) --d;
    const int extent = f.loops.extents[d] / (d == 0 ? f.tile : 1);
    const int task = std::max(1, extent / 32);
    if (task > 1)
      f.part.update().parallel(kept[d], task, Halide::TailStrategy::GuardWithIf);
    else
      f.part.update().parallel(kept[d]);
  }
  return {output};
}

namespace {

/// The sums of each row of `rows`, as the second output of the pipeline.
Func define_row_sums(KernelExpressions& kernel, const Func& rows, BatchFolds& f, const Machine& machine, Knobs& knobs) {
  kernel.bind(kernel.kernel().roots[0], [rows](const Index& at) { return Expr(rows(storage_order(at, true))); });
  f = define_folds(kernel, kernel.kernel().row_sums, machine, knobs);
  Func sums("sums");
  std::vector<Expr> at(f.loops.storage.begin(), f.loops.storage.end()), values;
  for (size_t i = 0; i < f.count; ++i) values.push_back(element(f.total, at, i, f.count));
  define(sums, at, values);
  bind_dense(sums, f.loops);
  order_loops(f);
  return sums;
}

}  // namespace

Recipe with_row_sums(KernelExpressions& kernel, const Loops& loops, Func rows, const Machine& machine, Knobs& knobs) {
  BatchFolds f;
  Func sums = define_row_sums(kernel, rows, f, machine, knobs);
  Func output("output");
  output(loops.storage) = rows(loops.storage);
  bind_dense(output, loops);
  const Var row = loops.storage.back();  // of the same name in both
  output.vectorize(loops.storage[0], machine.vector).parallel(row);
  sums.parallel(row);
  output.compute_with(sums, row);
  rows.compute_at(sums, row);
  f.part.compute_at(sums, row);
  f.total.compute_at(sums, row);
  return {output, sums};
}

Recipe row_sums_after(KernelExpressions& kernel, const Loops& loops, Func output, const Machine& machine,
                      Knobs& knobs) {
  bind_dense(output, loops);
  BatchFolds f;
  Func sums = define_row_sums(kernel, output, f, machine, knobs);
  const Var row = loops.storage.back();
  sums.parallel(row);
  f.part.compute_at(sums, row);
  f.total.compute_at(sums, row);
  return {output, sums};
}

Recipe fold_in_place(KernelExpressions& kernel, const Machine& machine, Knobs& knobs) {
  const std::vector<NodeId>& anchors = kernel.kernel().anchors;  // of one shape, over the same axes
  const Definition& definition = kernel.definition(anchors[0]);
  const Loops loops = loops_of(kernel.node(anchors[0]).type.shape, kernel.program().lanes);
  std::vector<Halide::Range> domain;
  for (auto extent = definition.extents.rbegin(); extent != definition.extents.rend(); ++extent) {
    domain.emplace_back(0, static_cast<int>(*extent));
  }
  const RDom r(domain);
  Index reduction;
  for (int d = r.dimensions(); d-- > 0;) reduction.emplace_back(r[d]);

  Func total("total");
  // Of one element there is nothing to add up; its loops need not even occur in it.
  const bool single = element_count(definition.extents) == 1;
  const std::vector<Expr> at(loops.storage.begin(), loops.storage.end());
  if (single) {
    reduction.assign(definition.extents.size(), Expr(0));
  } else {
    define(total, at, std::vector<Expr>(anchors.size(), identity(definition.fold, Halide::Float(32))));
  }
  std::vector<Expr> values;
  for (size_t i = 0; i < anchors.size(); ++i) {
    const Expr value = kernel.folded(anchors[i], loops.at, reduction);
    values.push_back(single ? value : combine(definition.fold, element(total, at, i, anchors.size()), value));
  }
  define(total, at, values);
  for (size_t i = 0; i < anchors.size(); ++i) {
    kernel.bind(anchors[i], [total, i, count = anchors.size(), batched = loops.batched](const Index& index) {
      return element(total, storage_order(index, batched), i, count);
    });
  }
  Func output = define_output(kernel, loops);
  if (loops.batched) {
    const Var n = loops.storage[0];
    std::vector<Halide::VarOrRVar> order = {n};
    for (int d = 0; d < r.dimensions(); ++d) order.emplace_back(RVar(r[d]));
    for (size_t d = 1; d < loops.storage.size(); ++d) order.emplace_back(loops.storage[d]);
    total.compute_root().vectorize(n, machine.vector);
    if (!single) total.update().reorder(order).vectorize(n, machine.vector);
    output.vectorize(n, machine.vector);
    if (loops.storage.size() > 1 &&
        knobs.choose("parallel", {"none", "outer"}, worth_threads(kernel) ? "outer" : "none") == "outer") {
      if (single)
        total.parallel(loops.storage.back());
      else
        total.update().parallel(loops.storage.back());
      output.parallel(loops.storage.back());
    }
    return {output};
  }
  total.compute_root();
  if (static_cast<int>(definition.extents.back()) % machine.vector == 0 && !loops.storage.empty() &&
      definition.fold == Fold::sum) {
    total.update().atomic().vectorize(RVar(r[0]), machine.vector);
  }
  return {output};
}

}  // namespace kiln
