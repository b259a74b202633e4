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
  if (values.size() == 1) f(at) = values[0];
  else f(at) = Tuple(values);
}

}  // namespace

// Partial results of `lanes` rows side by side, one set for each index of the outermost dimension when that is folded
// too (the slabs run in parallel); then a second, small fold in index order. The order depends on shapes only, so the
// bits are the same for any number of threads.
Recipe fold_over_batch(KernelExpressions& kernel) {
  const std::vector<NodeId>& anchors = kernel.kernel().anchors;
  const Node& first = kernel.node(anchors[0]);
  const Definition& definition = kernel.definition(anchors[0]);
  const auto& axes = std::get<std::vector<int64_t>>(first.attributes.at("axes"));
  const Shape& input = kernel.node(first.inputs[0]).type.shape;
  const int64_t lanes = kernel.program().lanes;
  const size_t rank = input.size();
  const auto folded = [&](size_t axis) { return std::count(axes.begin(), axes.end(), static_cast<int64_t>(axis)) > 0; };

  const Loops loops = loops_of(first.type.shape, lanes);  // of the result, without the batch
  const bool slabs = rank > 2 && folded(1);

  // Lanes times a tile of kept features fill some registers, so that the additions overlap.
  int tile = 1;
  const bool keeps_inner = rank > 1 && !folded(rank - 1) && (rank > 2 || !slabs);
  if (keeps_inner) tile = divisor(static_cast<int>(input[rank - 1]), 4);
  int width = static_cast<int>(kVectorLanes);
  while (width * 2 <= 64 && lanes % (width * 2) == 0 && width / kVectorLanes * tile < 4) width *= 2;

  // part(lane, kept..., slab)
  const Var lane("lane"), slab("slab");
  std::vector<Expr> part_at = {lane};
  for (const Var& v : loops.storage) part_at.emplace_back(v);
  if (slabs) part_at.emplace_back(slab);
  std::vector<Halide::Range> domain = {{0, static_cast<int>(lanes / width)}};
  std::vector<size_t> domain_axes;  // from the innermost out
  for (size_t axis = rank; axis-- > 1;) {
    if (!folded(axis) || (slabs && axis == 1)) continue;
    domain.emplace_back(0, static_cast<int>(input[axis]));
    domain_axes.push_back(axis);
  }
  const RDom r(domain);
  const Expr row = lane + width * r[0];
  Index reduction;  // in the order of `axes`
  for (int64_t axis : axes) {
    if (axis == 0) reduction.push_back(row);
    else if (slabs && axis == 1) reduction.emplace_back(slab);
    else reduction.emplace_back(r[1 + static_cast<int>(std::find(domain_axes.begin(), domain_axes.end(), axis) - domain_axes.begin())]);
  }

  Func part("part"), total("total");
  std::vector<Expr> zero, sums, totals;
  const size_t count = anchors.size();
  for (size_t i = 0; i < count; ++i) {
    const Expr none = identity(definition.fold, Halide::Float(32));
    zero.push_back(none);
    const Expr value = Halide::select(row < kernel.count(), kernel.folded(anchors[i], loops.at, reduction), none);
    sums.push_back(value);
  }
  define(part, part_at, zero);
  for (size_t i = 0; i < count; ++i) sums[i] = combine(definition.fold, element(part, part_at, i, count), sums[i]);
  define(part, part_at, sums);

  std::vector<Halide::Range> second = {{0, width}};
  if (slabs) second.emplace_back(0, static_cast<int>(input[1]));
  const RDom q(second);
  std::vector<Expr> total_at, read_at = {Expr(q[0])};
  for (const Var& v : loops.storage) {
    total_at.emplace_back(v);
    read_at.emplace_back(v);
  }
  if (slabs) read_at.emplace_back(q[1]);
  define(total, total_at, zero);
  for (size_t i = 0; i < count; ++i) {
    totals.push_back(combine(definition.fold, element(total, total_at, i, count), element(part, read_at, i, count)));
  }
  define(total, total_at, totals);
  for (size_t i = 0; i < count; ++i) {
    kernel.bind(anchors[i], [total, i, count](const Index& at) {
      return element(total, std::vector<Expr>(at.rbegin(), at.rend()), i, count);
    });
  }
  Func output = define_output(kernel, loops);

  // Schedule.
  const int64_t work = element_count(input, lanes);
  const bool threads = worth_threads(kernel, work);
  part.compute_root().vectorize(lane, static_cast<int>(kVectorLanes)).unroll(lane);
  total.compute_root();
  total.update().atomic().vectorize(q[0], static_cast<int>(kVectorLanes));
  if (!loops.storage.empty() && loops.extents[0] >= 16) output.vectorize(loops.storage[0], 16, Halide::TailStrategy::GuardWithIf);

  auto update = part.update();
  std::vector<Halide::VarOrRVar> order = {lane};
  std::vector<Halide::VarOrRVar> outer;
  if (keeps_inner && tile > 1) {
    const Var in("tile");
    update.split(loops.storage[0], loops.storage[0], in, tile);
    order.emplace_back(in);
  }
  for (int d = 0; d < r.dimensions(); ++d) order.emplace_back(RVar(r[d]));
  for (const Var& v : loops.storage) order.emplace_back(v);
  if (slabs) order.emplace_back(slab);
  update.reorder(order).vectorize(lane, static_cast<int>(kVectorLanes)).unroll(lane);
  if (keeps_inner && tile > 1) update.unroll(Var("tile"));
  if (threads && slabs) {
    part.parallel(slab);
    update.parallel(slab);
  } else if (threads && !loops.storage.empty()) {
    // Of the kept dimensions the outermost that is not 1.
    size_t d = loops.storage.size() - 1;
    while (d > 0 && loops.extents[d] == 1) --d;
    const int extent = loops.extents[d] / (d == 0 ? tile : 1);
    const int task = std::max(1, extent / 32);
    if (task > 1) update.parallel(loops.storage[d], task, Halide::TailStrategy::GuardWithIf);
    else update.parallel(loops.storage[d]);
  }
  return {output, fmt::format("fold over batch: lanes={} tile={}{}", width, tile, slabs ? " slabs" : "")};
}

Recipe fold_in_place(KernelExpressions& kernel, NodeId anchor) {
  const Definition& definition = kernel.definition(anchor);
  const Loops loops = loops_of(kernel.node(anchor).type.shape, kernel.program().lanes);
  std::vector<Halide::Range> domain;
  for (auto extent = definition.extents.rbegin(); extent != definition.extents.rend(); ++extent) {
    domain.emplace_back(0, static_cast<int>(*extent));
  }
  const RDom r(domain);
  Index reduction;
  for (int d = r.dimensions(); d-- > 0;) reduction.emplace_back(r[d]);

  Func total("total");
  total(loops.storage) = identity(definition.fold, Halide::Float(32));
  total(loops.storage) = combine(definition.fold, total(loops.storage), kernel.folded(anchor, loops.at, reduction));
  kernel.bind(anchor, [total, &kernel, anchor](const Index& at) {
    Index storage(at.rbegin(), at.rend());
    if (has_batch(kernel.node(anchor).type.shape)) std::rotate(storage.begin(), storage.end() - 1, storage.end());
    return Expr(total(storage));
  });
  Func output = define_output(kernel, loops);
  if (loops.batched) {
    const Var n = loops.storage[0];
    std::vector<Halide::VarOrRVar> order = {n};
    for (int d = 0; d < r.dimensions(); ++d) order.emplace_back(RVar(r[d]));
    for (size_t d = 1; d < loops.storage.size(); ++d) order.emplace_back(loops.storage[d]);
    total.compute_root().vectorize(n, static_cast<int>(kVectorLanes));
    total.update().reorder(order).vectorize(n, static_cast<int>(kVectorLanes));
    output.vectorize(n, static_cast<int>(kVectorLanes));
    if (loops.storage.size() > 1 && worth_threads(kernel)) {
      total.update().parallel(loops.storage.back());
      output.parallel(loops.storage.back());
    }
    return {output, "fold of rows"};
  }
  total.compute_root();
  if (static_cast<int>(definition.extents.back()) % kVectorLanes == 0 && loops.storage.size() > 0 && definition.fold == Fold::sum) {
    total.update().atomic().vectorize(RVar(r[0]), static_cast<int>(kVectorLanes));
  }
  return {output, "fold"};
}

}  // namespace kiln
