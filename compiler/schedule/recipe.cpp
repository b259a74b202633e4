#include "schedule/recipe.h"

#include "lower/affine.h"
#include "lower/bf16.h"
#include "schedule/dot_product.h"
#include "schedule/winograd.h"

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::Var;

namespace {

/// Below this many element operations a kernel ends before a second thread has woken up.
constexpr int64_t kThreadWork = 40'000;

/// True for left^T * right of two whole matrices, rows of the batch by features: each side's column is an output loop
/// itself. (Padding that was folded into an offset makes it another contraction.)
bool is_product_of_rows(KernelExpressions& kernel, const Contraction& c, NodeId anchor) {
  if (c.output_rank != 2 || c.extents.size() != 3 || c.extents[2] != kBatch) return false;
  const AffineIndex row = {{0, 0, 1}}, first = {{1, 0, 0}}, second = {{0, 1, 0}};
  const auto is = [&](size_t side, const AffineIndex& column) {
    const std::vector<AffineIndex>& indices = side == 0 ? c.left : c.right;
    const Shape& shape = kernel.node(kernel.node(anchor).inputs[side]).type.shape;
    return indices.size() == 2 && indices[0] == row && indices[1] == column &&
           shape[1] == c.extents[column == first ? 0 : 1];
  };
  return (is(0, first) && is(1, second)) || (is(0, second) && is(1, first));
}

Recipe apply(KernelExpressions& kernel, const Machine& machine, Knobs& knobs) {
  if (kernel.program().lanes == 1) return single_row(kernel, machine, knobs);
  const auto only = [&](const char* recipe) { knobs.choose("recipe", {recipe}, recipe); };
  const NodeId anchor = kernel.kernel().anchors.front();
  const Definition& definition = kernel.definition(anchor);
  if (definition.contraction) {
    const Contraction& c = *definition.contraction;
    const auto summed = c.extents.begin() + c.output_rank;
    if (has_batch(kernel.node(anchor).type.shape)) {
      std::vector<std::string> legal = {"rows"};
      if (stride_one_convolution(kernel, c, anchor)) legal.emplace_back("winograd");
      // Dot products of bf16 double the multiply-adds of every product; Winograd saves less, and its transforms would
      // magnify the rounding.
      const bool winograd = winograd_pays(kernel, c, anchor) && !paired_loop(kernel, anchor);
      const std::string recipe = knobs.choose("recipe", legal, winograd ? "winograd" : "rows");
      return recipe == "rows" ? contraction_over_rows(kernel, anchor, machine, knobs)
                              : contraction_by_winograd(kernel, anchor, machine, knobs);
    }
    if (std::find(summed, c.extents.end(), kBatch) == c.extents.end()) {
      only("plain");
      return contraction_plain(kernel, anchor);
    }
    if (is_product_of_rows(kernel, c, anchor)) {
      only("transposed");
      return contraction_of_rows(kernel, anchor, machine, knobs);
    }
    std::vector<std::string> legal = {"lanes"};
    if (stride_one_weight_gradient(kernel, c, anchor)) legal.emplace_back("winograd");
    const bool pays = winograd_weight_gradient_pays(kernel, c, anchor);
    return knobs.choose("recipe", legal, pays ? "winograd" : "lanes") == "lanes"
               ? contraction_in_lanes(kernel, anchor, machine, knobs)
               : weight_gradient_by_winograd(kernel, anchor, machine, knobs);
  }
  if (std::count(definition.extents.begin(), definition.extents.end(), kBatch) > 0) {
    only("batch-fold");
    return fold_over_batch(kernel, machine, knobs);
  }
  const bool window = kernel.node(anchor).attributes.count("axes") == 0;
  if (definition.fold == Fold::none || (window && element_count(definition.extents) <= kUnrolledWindow)) {
    only("element-wise");
    return element_wise(kernel, machine, knobs);
  }
  only("fold");
  return fold_in_place(kernel, machine, knobs);
}

}  // namespace

Machine machine_of(const Halide::Target& target) {
  if (target.has_feature(Halide::Target::AVX512) || target.has_feature(Halide::Target::AVX512_Skylake)) return {16, 24};
  if (target.arch == Halide::Target::X86) return {target.has_feature(Halide::Target::AVX) ? 8 : 4, 12};
  return {4, 24};  // 32 registers of 128 bits: NEON
}

ScheduledKernel schedule(const Program& program, const Kernel& kernel, const Halide::Target& target) {
  if (program.precision == Precision::mixed && !has_dot_products(target)) {
    throw UserError(fmt::format(
        "mixed precision needs a processor with dot products of bf16 ({}), which the target {} lacks; compile with "
        "--precision f32",
        "avx512_zen4, avx512_zen5 or avx512_sapphirerapids", target.to_string()));
  }
  KernelExpressions expressions(program, kernel);
  Knobs knobs(kernel.name, kernel.schedule);
  Recipe recipe = apply(expressions, machine_of(target), knobs);
  knobs.expect_all_used();
  std::vector<Func> outputs = {recipe.output};
  if (recipe.row_sums.defined()) outputs.push_back(recipe.row_sums);
  return {Halide::Pipeline(outputs), expressions.arguments(), knobs.chosen()};
}

Loops loops_of(const Shape& shape, int64_t lanes) {
  Loops loops;
  loops.batched = has_batch(shape);
  std::vector<Var> vars;
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool rows = d == 0 && loops.batched;
    vars.emplace_back(rows ? "n" : fmt::format("d{}", shape.size() - d));  // d1 is the innermost feature
    loops.at.emplace_back(vars.back());
  }
  if (loops.batched) loops.storage.push_back(vars.front());
  for (size_t d = shape.size(); d-- > (loops.batched ? 1 : 0);) loops.storage.push_back(vars[d]);
  loops.extents = storage_extents(shape, lanes);
  return loops;
}

Func define_output(KernelExpressions& kernel, const Loops& loops) {
  const size_t count = kernel.kernel().roots.size() - kernel.kernel().row_sums.size();
  std::vector<Expr> values;
  for (size_t i = 0; i < count; ++i) {
    const NodeId root = kernel.kernel().roots[i];
    const Expr value = kernel.value(root, loops.at);
    values.push_back(kernel.node(root).type.element == ElementType::bf16 ? to_bf16(value) : value);
  }
  Func output("output");
  if (values.size() == 1)
    output(loops.storage) = values[0];
  else
    output(loops.storage) = Halide::Tuple(values);
  if (kernel.kernel().row_sums.empty()) bind_dense(output, loops);
  return output;
}

void bind_dense(Func& output, const Loops& loops) {
  bool first = true;  // Halide gives the others the bounds of the first
  for (auto& buffer : output.output_buffers()) {
    int stride = 1;
    for (size_t d = 0; d < loops.storage.size(); ++d) {
      auto dim = buffer.dim(static_cast<int>(d));
      if (first) dim.set_bounds(0, loops.extents[d]);
      dim.set_stride(stride);
      stride *= loops.extents[d];
    }
    buffer.set_host_alignment(64);
    first = false;
  }
  for (size_t d = 0; d < loops.storage.size(); ++d) output.bound(loops.storage[d], 0, loops.extents[d]);
}

bool worth_threads(KernelExpressions& kernel, int64_t extra_work) {
  int64_t work = extra_work;
  for (NodeId id : kernel.kernel().leaves) work += element_count(kernel.node(id).type.shape, kernel.program().lanes);
  for (NodeId id : kernel.kernel().roots) work += element_count(kernel.node(id).type.shape, kernel.program().lanes);
  return work >= kThreadWork;
}

}  // namespace kiln
