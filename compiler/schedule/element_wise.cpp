#include "schedule/recipe.h"

namespace kiln {

using Halide::Func;
using Halide::TailStrategy;
using Halide::Var;

namespace {

/// Periods of everything in the kernel, in storage order: neighbours that far apart share work when they are unrolled.
std::vector<int> periods(KernelExpressions& kernel, const Loops& loops) {
  std::vector<int> result(loops.storage.size(), 1);
  std::vector<NodeId> pending = kernel.kernel().roots;
  std::vector<bool> seen(kernel.program().graph.nodes.size(), false);
  const auto& leaves = kernel.kernel().leaves;
  while (!pending.empty()) {
    const NodeId id = pending.back();
    pending.pop_back();
    if (seen[id] || std::count(leaves.begin(), leaves.end(), id) || is_source(kernel.node(id))) continue;
    seen[id] = true;
    const Shape& period = kernel.definition(id).period;
    const size_t rank = loops.storage.size();
    if (period.size() == rank) {
      for (size_t d = 1; d < rank; ++d) result[rank - d] = std::max<int>(result[rank - d], static_cast<int>(period[d]));
    }
    pending.insert(pending.end(), kernel.node(id).inputs.begin(), kernel.node(id).inputs.end());
  }
  return result;
}

}  // namespace

Recipe element_wise(KernelExpressions& kernel, const Machine& machine, Knobs& knobs) {
  const Shape& shape = kernel.node(kernel.kernel().roots.front()).type.shape;
  const Loops loops = loops_of(shape, kernel.program().lanes);
  Func output = define_output(kernel, loops);
  if (loops.storage.empty()) return {output};

  const Var inner = loops.storage[0];
  const auto threads = [&] {
    return knobs.choose("parallel", {"none", "outer"}, worth_threads(kernel) ? "outer" : "none") == "outer";
  };
  if (!loops.batched) {
    if (loops.extents[0] >= machine.vector) output.vectorize(inner, machine.vector, TailStrategy::GuardWithIf);
    if (loops.storage.size() > 1) {
      if (threads()) output.parallel(loops.storage.back());
    } else if (loops.extents[0] >= 8192 && threads()) {
      output.parallel(inner, 256, TailStrategy::GuardWithIf);
    }
    return {output};
  }

  const std::vector<int> period = periods(kernel, loops);
  std::vector<Halide::VarOrRVar> order = {inner};
  std::vector<Halide::VarOrRVar> outer;
  for (size_t d = 1; d < loops.storage.size(); ++d) {
    const Var& v = loops.storage[d];
    if (period[d] > 1 && loops.extents[d] > 1) {
      const Var in(v.name() + "i");
      output.split(v, v, in, period[d],
                   loops.extents[d] % period[d] == 0 ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
      order.emplace_back(in);
      output.unroll(in);
    }
    outer.emplace_back(v);
  }
  order.insert(order.end(), outer.begin(), outer.end());
  output.reorder(order).vectorize(inner, machine.vector);
  const bool small = order.size() == loops.storage.size() && loops.extents[0] <= 4 * machine.vector;
  if (loops.extents[0] > machine.vector && knobs.choose("unroll", small)) output.unroll(inner);
  if (loops.storage.size() > 1 && threads()) output.parallel(loops.storage.back());
  return {output};
}

}  // namespace kiln
