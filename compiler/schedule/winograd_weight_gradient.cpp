#include "lower/affine.h"
#include "schedule/winograd.h"

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::RVar;
using Halide::Var;

namespace {

/// Features on both sides below which the transforms cost as much as the multiplications that they save.
constexpr int64_t kFeatures = 16;
/// Adding up the lanes of a sum takes about as long as so many multiply-adds.
constexpr double kLanes = 8;
/// The share of the direct work that must be left at most for the transforms to pay.
constexpr double kWorthwhile = 0.5;

/// Work for each pair of features: multiply-adds of vectors, and the addition of lanes for each sum.
double work(double products, double sums, int64_t lanes) {
  return products * static_cast<double>(lanes) / kVectorLanes + sums * kLanes;
}
double winograd_work(int64_t rows, int64_t columns, int outputs, int taps, int64_t lanes) {
  const int inputs = outputs + taps - 1;
  return work(winograd_products(rows, columns, outputs, taps), inputs * inputs, lanes);
}

int best_outputs(int64_t rows, int64_t columns, int taps, int64_t lanes) {
  const std::vector<int> candidates = winograd_outputs(taps);
  return *std::min_element(candidates.begin(), candidates.end(), [&](int a, int b) {
    return winograd_work(rows, columns, a, taps, lanes) < winograd_work(rows, columns, b, taps, lanes);
  });
}

WinogradMatrices::Matrix transposed(const WinogradMatrices::Matrix& matrix) {
  WinogradMatrices::Matrix result(matrix[0].size(), std::vector<double>(matrix.size()));
  for (size_t i = 0; i < matrix.size(); ++i) {
    for (size_t j = 0; j < matrix[0].size(); ++j) result[j][i] = matrix[i][j];
  }
  return result;
}

}  // namespace

std::optional<StrideOneWeightGradient> stride_one_weight_gradient(const KernelExpressions& kernel, const Contraction& c,
                                                                  NodeId anchor) {
  const Node& node = kernel.node(anchor);
  if (c.output_rank != 4 || c.loops.size() != 7 || has_batch(node.type.shape)) return {};
  for (int side = 0; side < 2; ++side) {
    // The cotangent is read at plain loops; the image at the sum of a tap and a place.
    const std::vector<AffineIndex>& cotangent = side == 0 ? c.left : c.right;
    const std::vector<AffineIndex>& image = side == 0 ? c.right : c.left;
    if (cotangent.size() != 4 || image.size() != 4 || !std::all_of(cotangent.begin(), cotangent.end(), plain_loop) ||
        !plain_loop(image[0]) || !plain_loop(image[3]))
      continue;
    StrideOneWeightGradient form;
    form.cotangent = side;
    form.image = 1 - side;
    form.batch = *plain_loop(image[0]);
    form.channel = *plain_loop(image[3]);
    form.feature = *plain_loop(cotangent[3]);
    bool fits = *plain_loop(cotangent[0]) == form.batch && c.extents[form.batch] == kBatch && form.channel < 4 &&
                form.feature < 4;
    for (size_t d = 0; d < 2 && fits; ++d) {
      const AffineIndex& index = image[1 + d];
      const std::vector<size_t> loops = loops_in(index);
      fits = loops.size() == 2 && index.divisor == 1 && loops[0] < 4 && loops[1] >= 4 &&
             index.coefficients[loops[0]] == 1 && index.coefficients[loops[1]] == 1 &&
             *plain_loop(cotangent[1 + d]) == loops[1];
      if (!fits) break;
      form.tap_loop[d] = loops[0];
      form.place_loop[d] = loops[1];
      form.offset[d] = index.offset;
    }
    if (!fits) continue;
    form.taps = static_cast<int>(c.extents[form.tap_loop[0]]);
    if (c.extents[form.tap_loop[1]] == form.taps && form.taps >= 2 && form.taps <= 5) return form;
  }
  return {};
}

bool winograd_weight_gradient_pays(const KernelExpressions& kernel, const Contraction& c, NodeId anchor) {
  const auto form = stride_one_weight_gradient(kernel, c, anchor);
  if (!form || c.extents[form->feature] < kFeatures || c.extents[form->channel] < kFeatures) return false;
  const int64_t rows = c.extents[form->place_loop[0]], columns = c.extents[form->place_loop[1]];
  const int64_t lanes = kernel.program().lanes, taps = form->taps * form->taps;
  const int outputs = best_outputs(rows, columns, form->taps, lanes);
  return winograd_work(rows, columns, outputs, form->taps, lanes) <
         kWorthwhile * work(static_cast<double>(rows * columns * taps), static_cast<double>(taps), lanes);
}

Recipe weight_gradient_by_winograd(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs) {
  const Contraction& contraction = *kernel.definition(anchor).contraction;
  const StrideOneWeightGradient form = *stride_one_weight_gradient(kernel, contraction, anchor);
  const Node& node = kernel.node(anchor);
  const NodeId image = node.inputs[form.image], cotangent = node.inputs[form.cotangent];
  const int lanes = static_cast<int>(kernel.program().lanes), vector = machine.vector, taps = form.taps;
  const int features = static_cast<int>(contraction.extents[form.feature]);
  const int channels = static_cast<int>(contraction.extents[form.channel]);
  const int64_t rows = contraction.extents[form.place_loop[0]], columns = contraction.extents[form.place_loop[1]];

  const int m = knobs.choose("outputs", winograd_outputs(taps), best_outputs(rows, columns, taps, lanes));
  const int feature_tile = knobs.choose("feature_tile", divisors(features, machine.accumulators),
                                        divisor(features, machine.accumulators >= 24 ? 6 : 4));
  const int channel_tile = knobs.choose("channel_tile", divisors(channels, machine.accumulators),
                                        divisor(channels, machine.accumulators / feature_tile));
  const WinogradMatrices matrices = winograd_matrices(m, taps);
  const int tiles_down = tile_count(rows, m), tiles_across = tile_count(columns, m);

  // An operand's element, zero outside of it.
  const auto read = [&](NodeId operand, const Expr& n, const Expr& row, const Expr& column, const Expr& feature) {
    const Shape& shape = kernel.node(operand).type.shape;
    const int height = static_cast<int>(shape[1]), width = static_cast<int>(shape[2]);
    const Expr inside = row >= 0 && row < height && column >= 0 && column < width;
    const Index at = {n, Halide::clamp(row, 0, height - 1), Halide::clamp(column, 0, width - 1), feature};
    return Halide::select(inside, kernel.value(operand, at), 0.f);
  };
  const int down = static_cast<int>(form.offset[0]), across = static_cast<int>(form.offset[1]);
  const Var n("n"), c("c"), f("f"), i("i"), j("j"), tx("tx"), ty("ty"), y("y"), lane("lane");
  const WinogradMatrices::Matrix spread = transposed(matrices.output);
  Func image_rows("image_rows"), image_tiles("image_tiles");
  image_rows(n, tx, y, c, i) =
      transformed(matrices.input, i, [&](int a) { return read(image, n, y + down, tx * m + a + across, c); });
  image_tiles(n, tx, ty, c, j, i) =
      transformed(matrices.input, j, [&](int b) { return image_rows(n, tx, ty * m + b, c, i); });
  Func cotangent_rows("cotangent_rows"), cotangent_tiles("cotangent_tiles");
  cotangent_rows(n, tx, y, f, i) = transformed(spread, i, [&](int a) { return read(cotangent, n, y, tx * m + a, f); });
  cotangent_tiles(n, tx, ty, f, j, i) =
      transformed(spread, j, [&](int b) { return cotangent_rows(n, tx, ty * m + b, f, i); });

  // Rows of the batch add up in lanes, and the lanes at the end.
  const RDom r(0, lanes / vector, 0, tiles_across, 0, tiles_down), q(0, vector);
  Func acc("acc"), sum("sum"), tap_columns("tap_columns"), gradient("gradient");
  acc(lane, c, f, j, i) = 0.f;
  acc(lane, c, f, j, i) +=
      image_tiles(lane + vector * r.x, r.y, r.z, c, j, i) * cotangent_tiles(lane + vector * r.x, r.y, r.z, f, j, i);
  sum(c, f, j, i) = 0.f;
  sum(c, f, j, i) += acc(q.x, c, f, j, i);

  // From transformed sums to taps, in the order of the weights' memory.
  const Loops loops = loops_of(node.type.shape, lanes);
  const WinogradMatrices::Matrix gather = transposed(matrices.weight);
  const Var kx("kx"), ky("ky");
  tap_columns(c, f, j, kx) = transformed(gather, kx, [&](int a) { return sum(c, f, j, a); });
  gradient(c, f, kx, ky) = transformed(gather, ky, [&](int b) { return tap_columns(c, f, b, kx); });
  kernel.bind(anchor, [&](const Index& at) {
    return Expr(gradient(at[form.channel], at[form.feature], at[form.tap_loop[1]], at[form.tap_loop[0]]));
  });
  Func output = define_output(kernel, loops);

  const Var ci("ci"), fi("fi");
  sum.compute_root();
  auto update = sum.update();
  update.split(c, c, ci, channel_tile)
      .split(f, f, fi, feature_tile)
      .reorder({q.x, ci, fi, c, f, j, i})
      .atomic()
      .vectorize(q.x)
      .unroll(ci)
      .unroll(fi);
  const bool threads = worth_threads(kernel, element_count(node.type.shape) * lanes);
  if (knobs.choose("parallel", {"none", "rows"}, threads ? "rows" : "none") == "rows") {
    update.parallel(i);
    image_rows.parallel(c);
    cotangent_rows.parallel(f);
  }
  acc.compute_at(sum, c).vectorize(lane).unroll(c).unroll(f);
  acc.update().reorder(lane, c, f, RVar(r.x), RVar(r.y), RVar(r.z)).vectorize(lane).unroll(c).unroll(f);
  image_tiles.compute_at(sum, i).reorder(j, n, tx, ty, c).vectorize(n, vector).unroll(j);
  image_rows.compute_root().reorder(i, n, tx, y, c).vectorize(n, vector).unroll(i);
  cotangent_tiles.compute_at(sum, i).reorder(j, n, tx, ty, f).vectorize(n, vector).unroll(j);
  cotangent_rows.compute_root().reorder(i, n, tx, y, f).vectorize(n, vector).unroll(i);
  gradient.compute_root().reorder(kx, ky, c, f).unroll(kx).unroll(ky);
  tap_columns.compute_at(gradient, c).unroll(j).unroll(kx);
  if (channels % vector == 0) {
    gradient.vectorize(c, vector);
    tap_columns.vectorize(c, vector);
  }
  if (loops.extents[0] >= vector) output.vectorize(loops.storage[0], vector, Halide::TailStrategy::GuardWithIf);
  return {output};
}

}  // namespace kiln
