#include "schedule/winograd.h"

#include "lower/affine.h"
#include "ops/window.h"

namespace kiln {

using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

/// Inputs of a tile in each direction at most: more would need points whose powers f32 no longer holds well together.
constexpr int kInputs = 8;
/// Below this many features on either side the transforms cost as much as the multiplications that they save.
constexpr int64_t kFeatures = 16;
/// Fewer tiles than these are shared out by rows as well; with more, that would only stream the weights more often.
constexpr int kTasks = 4;
/// Transforming a weight takes as long as multiplying it with so many rows.
constexpr double kTransform = 64;
/// The share of the direct work that must be left at most for the other transforms to pay.
constexpr double kWorthwhile = 0.65;

/// The coefficients of the product of (x - point) over the points but `without`, from the constant up.
std::vector<double> polynomial(const std::vector<double>& points, size_t without) {
  std::vector<double> result = {1};
  for (size_t p = 0; p < points.size(); ++p) {
    if (p == without) continue;
    std::vector<double> next(result.size() + 1, 0);
    for (size_t i = 0; i < result.size(); ++i) {
      next[i + 1] += result[i];
      next[i] -= points[p] * result[i];
    }
    result = next;
  }
  return result;
}

/// Sum of coefficient * value; undefined where every coefficient is zero.
Expr combination(const std::vector<double>& coefficients, const std::vector<Expr>& values) {
  Expr sum;
  for (size_t i = 0; i < values.size(); ++i) {
    if (coefficients[i] == 0) continue;
    const Expr term = coefficients[i] == 1 ? values[i] : values[i] * static_cast<float>(coefficients[i]);
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

/// matrix * values. Rows of opposite points differ in the sign of every second term: their halves are shared.
std::vector<Expr> transform(const WinogradMatrices::Matrix& matrix, const std::vector<Expr>& values) {
  std::vector<Expr> result;
  for (size_t row = 0; row < matrix.size(); ++row) {
    if (row + 1 < matrix.size()) {
      std::vector<double> equal = matrix[row], opposite = matrix[row];
      bool pair = true;
      for (size_t i = 0; i < values.size(); ++i) {
        (matrix[row + 1][i] == matrix[row][i] ? opposite : equal)[i] = 0;
        pair = pair && std::abs(matrix[row + 1][i]) == std::abs(matrix[row][i]);
      }
      const Expr even = combination(equal, values), odd = combination(opposite, values);
      if (pair && even.defined() && odd.defined()) {
        result.push_back(even + odd);
        result.push_back(even - odd);
        ++row;
        continue;
      }
    }
    result.push_back(combination(matrix[row], values));
  }
  return result;
}

}  // namespace

Expr transformed(const WinogradMatrices::Matrix& matrix, const Expr& row, const std::function<Expr(int)>& value) {
  std::vector<Expr> values;
  for (size_t i = 0; i < matrix[0].size(); ++i) values.push_back(value(static_cast<int>(i)));
  return Halide::mux(row, transform(matrix, values));
}

std::vector<int> winograd_outputs(int taps) { return range(2, kInputs + 1 - taps); }

double winograd_products(int64_t rows, int64_t columns, int outputs, int taps) {
  return static_cast<double>(tile_count(rows, outputs)) * tile_count(columns, outputs) * (outputs + taps - 1) *
         (outputs + taps - 1);
}

namespace {

/// Work for each pair of a feature and a channel, in multiply-adds of all rows: the products, of which large tiles take
/// fewer, and the weights' transform, which many small tiles share.
double work(int64_t rows, int64_t columns, int outputs, int taps, int64_t lanes) {
  const int inputs = outputs + taps - 1;
  return winograd_products(rows, columns, outputs, taps) + inputs * inputs * kTransform / static_cast<double>(lanes);
}

}  // namespace

int best_winograd_outputs(const std::vector<int>& legal, int64_t rows, int64_t columns, int taps, int64_t lanes) {
  return *std::min_element(legal.begin(), legal.end(), [&](int a, int b) {
    return work(rows, columns, a, taps, lanes) < work(rows, columns, b, taps, lanes);
  });
}

namespace {

/// The pooling that the kernel folds its results in: how far its windows are apart (1: none).
struct Pooling {
  int step[2] = {1, 1};
  bool dense = true;  // every result is in a window
};
Pooling pooling_of(const KernelExpressions& kernel) {
  const std::vector<NodeId>& anchors = kernel.kernel().anchors;
  Pooling pooling;
  if (anchors.size() < 2) return pooling;
  const auto windows = decode_windows(std::get<std::vector<int64_t>>(kernel.node(anchors[1]).attributes.at("windows")));
  for (size_t d = 0; d < 2; ++d) {
    pooling.step[d] = static_cast<int>(windows[d].stride);
    pooling.dense = pooling.dense && windows[d].stride == windows[d].size;
  }
  return pooling;
}

/// The tiles that whole windows fit in.
std::vector<int> tile_outputs(const KernelExpressions& kernel, int taps) {
  const Pooling pooling = pooling_of(kernel);
  std::vector<int> legal;
  for (int m : winograd_outputs(taps)) {
    if (pooling.dense && m % pooling.step[0] == 0 && m % pooling.step[1] == 0) legal.push_back(m);
  }
  return legal;
}

/// Rows and columns of the convolution's results that the kernel needs: pooling may leave out the last ones.
std::array<int64_t, 2> needed_results(const KernelExpressions& kernel) {
  const Shape& shape = kernel.node(kernel.kernel().roots[0]).type.shape;
  const Pooling pooling = pooling_of(kernel);
  return {shape[1] * pooling.step[0], shape[2] * pooling.step[1]};
}

int best_outputs(const KernelExpressions& kernel, int taps) {
  const auto [rows, columns] = needed_results(kernel);
  return best_winograd_outputs(tile_outputs(kernel, taps), rows, columns, taps, kernel.program().lanes);
}

}  // namespace

WinogradMatrices winograd_matrices(int outputs, int taps) {
  const std::vector<double> all = {0, 1, -1, 2, -2, 0.5, -0.5};
  const int inputs = outputs + taps - 1;
  if (inputs - 1 > static_cast<int>(all.size())) throw InternalError("a Winograd tile that large has no points");
  const std::vector<double> points(all.begin(), all.begin() + inputs - 1);  // and infinity
  WinogradMatrices m;
  for (size_t p = 0; p < points.size(); ++p) {
    double norm = 1;
    for (size_t q = 0; q < points.size(); ++q) {
      if (q != p) norm *= points[p] - points[q];
    }
    std::vector<double> row;
    for (int k = 0; k < taps; ++k) row.push_back(std::pow(points[p], k) / norm);
    m.weight.push_back(row);
    m.input.push_back(polynomial(points, p));
    m.input.back().push_back(0);
  }
  m.weight.emplace_back(taps, 0);
  m.weight.back().back() = 1;
  m.input.push_back(polynomial(points, points.size()));
  for (int i = 0; i < outputs; ++i) {
    std::vector<double> row;
    for (double point : points) row.push_back(std::pow(point, i));
    row.push_back(i == outputs - 1 ? 1 : 0);
    m.output.push_back(row);
  }
  return m;
}

std::optional<StrideOneConvolution> stride_one_convolution(const KernelExpressions& kernel, const Contraction& c,
                                                           NodeId anchor) {
  const Node& node = kernel.node(anchor);
  if (c.output_rank != 4 || c.loops.size() != 7 || !has_batch(node.type.shape)) return {};
  StrideOneConvolution form;
  form.image = has_batch(kernel.node(node.inputs[0]).type.shape) ? 0 : 1;
  form.weights = 1 - form.image;
  if (has_batch(kernel.node(node.inputs[form.weights]).type.shape)) return {};
  const std::vector<AffineIndex>& image = form.image == 0 ? c.left : c.right;
  const std::vector<AffineIndex>& weights = form.image == 0 ? c.right : c.left;
  if (image.size() != 4 || weights.size() != 4) return {};
  if (plain_loop(image[0]) != size_t{0}) return {};
  for (size_t d = 0; d < 2; ++d) {
    const AffineIndex& index = image[1 + d];
    const std::vector<size_t> loops = loops_in(index);
    if (index.divisor != 1 || loops.size() != 2 || loops[0] != 1 + d || loops[1] < 4) return {};
    if (index.coefficients[loops[0]] != 1 || std::abs(index.coefficients[loops[1]]) != 1) return {};
    form.tap_loop[d] = loops[1];
    form.tap_sign[d] = index.coefficients[loops[1]];
    form.offset[d] = index.offset;
  }
  form.taps = static_cast<int>(c.extents[form.tap_loop[0]]);
  form.feature = 3;
  form.channel = 4 + 5 + 6 - form.tap_loop[0] - form.tap_loop[1];
  if (c.extents[form.tap_loop[1]] != form.taps || form.taps < 2 || form.taps > 5) return {};
  if (form.tap_loop[0] == form.tap_loop[1] || plain_loop(image[3]) != form.channel) return {};
  for (const AffineIndex& index : weights) {
    if (plain_loop(index).value_or(0) < 3) return {};
  }
  if (tile_outputs(kernel, form.taps).empty()) return {};
  return form;
}

bool winograd_pays(const KernelExpressions& kernel, const Contraction& c, NodeId anchor) {
  const auto form = stride_one_convolution(kernel, c, anchor);
  if (!form || c.extents[form->feature] < kFeatures || c.extents[form->channel] < kFeatures) return false;
  const auto [rows, columns] = needed_results(kernel);
  const double direct = static_cast<double>(rows * columns) * form->taps * form->taps;
  return work(rows, columns, best_outputs(kernel, form->taps), form->taps, kernel.program().lanes) <
         kWorthwhile * direct;
}

Recipe contraction_by_winograd(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs) {
  const Contraction& c = *kernel.definition(anchor).contraction;
  const StrideOneConvolution form = *stride_one_convolution(kernel, c, anchor);
  const Node& node = kernel.node(anchor);
  const NodeId image = node.inputs[form.image], weights = node.inputs[form.weights];
  const std::vector<AffineIndex>& weight_index = form.weights == 0 ? c.left : c.right;
  const int lanes = static_cast<int>(kernel.program().lanes), vector = machine.vector, taps = form.taps;
  const Pooling pooling = pooling_of(kernel);
  const Loops loops = loops_of(kernel.node(kernel.kernel().roots[0]).type.shape, lanes);
  const Var n = loops.storage[0], f = loops.storage[1], x = loops.storage[2], y = loops.storage[3];
  const int features = loops.extents[1], channels = static_cast<int>(c.extents[form.channel]);

  const int m = knobs.choose("outputs", tile_outputs(kernel, taps), best_outputs(kernel, taps));
  // A task is a tile for so many vectors of rows.
  const auto [rows, columns] = needed_results(kernel);
  const int tiles = tile_count(rows, m) * tile_count(columns, m);
  const int most = machine.accumulators >= 24 && tiles >= kTasks ? 4 : 2;
  const int vectors = knobs.choose("vectors", divisors(lanes / vector, 8), divisor(lanes / vector, most));
  const int tile =
      knobs.choose("tile", divisors(features, 24), divisor(features, std::max(1, machine.accumulators / vectors)));
  const WinogradMatrices matrices = winograd_matrices(m, taps);

  // The image's tile around results (m * tx, m * ty), zero outside the image.
  const Var i("i"), j("j"), k("k"), q("q"), u("u"), tx("tx"), ty("ty"), dx("dx"), dy("dy");
  const Shape& extents = kernel.node(image).type.shape;
  const auto pixel = [&](const Expr& row, const Expr& column, const Expr& channel) {
    const int height = static_cast<int>(extents[1]), width = static_cast<int>(extents[2]);
    const Expr inside = row >= 0 && row < height && column >= 0 && column < width;
    const Index at = {n, Halide::clamp(row, 0, height - 1), Halide::clamp(column, 0, width - 1), channel};
    return Halide::select(inside, kernel.value(image, at), 0.f);
  };
  const auto base = [&](int d) { return static_cast<int>(form.offset[d]) - (form.tap_sign[d] < 0 ? taps - 1 : 0); };
  Func image_columns("image_columns"), image_tile("image_tile");
  image_columns(n, q, i, j, tx, ty) =
      transformed(matrices.input, i, [&](int a) { return pixel(ty * m + j + base(0), tx * m + a + base(1), q); });
  image_tile(n, q, i, j, tx, ty) =
      transformed(matrices.input, j, [&](int b) { return image_columns(n, q, i, b, tx, ty); });

  // The weights in the order of their memory: u is their innermost dimension, the result's feature or the channel.
  const size_t inner = std::find_if(weight_index.back().coefficients.begin(), weight_index.back().coefficients.end(),
                                    [](int64_t factor) { return factor != 0; }) -
                       weight_index.back().coefficients.begin();
  const bool inner_is_feature = inner == form.feature;
  const int inner_extent = inner_is_feature ? features : channels,
            outer_extent = inner_is_feature ? channels : features;
  const auto weight = [&](const Expr& row, const Expr& column, const Expr& in, const Expr& out) {
    Index at;
    for (const AffineIndex& index : weight_index) {
      const auto loop = [&](size_t l) { return index.coefficients[l] != 0; };
      if (loop(form.tap_loop[0]))
        at.push_back(form.tap_sign[0] < 0 ? taps - 1 - row : row);
      else if (loop(form.tap_loop[1]))
        at.push_back(form.tap_sign[1] < 0 ? taps - 1 - column : column);
      else
        at.push_back(loop(inner) ? in : out);
    }
    return kernel.value(weights, at);
  };
  Func weight_columns("weight_columns"), weight_tile("weight_tile");
  weight_columns(u, i, k, q) = transformed(matrices.weight, i, [&](int a) { return weight(k, Expr(a), u, q); });
  weight_tile(u, q, i, j) = transformed(matrices.weight, j, [&](int b) { return weight_columns(u, i, b, q); });

  const RDom r(0, channels);
  Func acc("acc"), product("product"), result_columns("result_columns");
  acc(n, f, i, j, tx, ty) = 0.f;
  acc(n, f, i, j, tx, ty) +=
      (inner_is_feature ? weight_tile(f, r, i, j) : weight_tile(r, f, i, j)) * image_tile(n, r, i, j, tx, ty);
  product(n, f, i, j, tx, ty) = acc(n, f, i, j, tx, ty);
  result_columns(n, f, dx, j, tx, ty) =
      transformed(matrices.output, dx, [&](int a) { return product(n, f, a, j, tx, ty); });
  kernel.bind(anchor, [&](const Index& at) {
    return transformed(matrices.output, at[1] % m,
                       [&](int b) { return result_columns(at[0], at[3], at[2] % m, b, at[2] / m, at[1] / m); });
  });
  Func output = define_output(kernel, loops);

  const Var no("no"), ni("ni"), nv("nv"), fo("fo"), fi("fi"), task("task");
  output.split(x, tx, dx, m / pooling.step[1], TailStrategy::GuardWithIf)
      .split(y, ty, dy, m / pooling.step[0], TailStrategy::GuardWithIf)
      .split(f, fo, fi, tile)
      .split(n, no, nv, vectors * vector)
      .split(nv, nv, ni, vector)
      .reorder(ni, dx, dy, nv, fi, fo, no, tx, ty)
      .vectorize(ni)
      .unroll(dx)
      .unroll(dy)
      .fuse(tx, ty, task)
      .fuse(no, task, task);
  const auto in_registers = [&](Func& g) { g.vectorize(n, vector).unroll(n).unroll(f); };
  result_columns.compute_at(output, nv).vectorize(n, vector).unroll(dx).unroll(j);
  product.compute_at(output, fo).store_in(Halide::MemoryType::Stack).reorder(n, f, i, j);
  in_registers(product);
  acc.compute_at(product, i);
  in_registers(acc);
  acc.update().reorder(n, f, r.x, i, j, tx, ty).vectorize(n, vector).unroll(n).unroll(f);
  image_tile.compute_at(output, task).reorder(i, j, n, q, tx, ty).vectorize(n, vector).unroll(i).unroll(j);
  image_columns.compute_at(image_tile, n).vectorize(n, vector).unroll(i).unroll(j);

  // The transformed weights are the same for all tasks.
  const bool even = inner_extent % vector == 0;
  const TailStrategy tail = even ? TailStrategy::RoundUp : TailStrategy::GuardWithIf;
  weight_tile.compute_root().reorder(u, i, j, q).vectorize(u, vector, tail).unroll(i).unroll(j);
  weight_columns.compute_at(weight_tile, u).vectorize(u, vector, tail).unroll(i).unroll(k);

  const bool threads = worth_threads(kernel, element_count(node.type.shape, lanes) * 8);
  if (knobs.choose("parallel", {"none", "tiles"}, threads ? "tiles" : "none") == "tiles") {
    output.parallel(task);
    weight_tile.parallel(q, std::max(1, outer_extent / 8), TailStrategy::GuardWithIf);
  }
  if (!kernel.kernel().row_sums.empty()) return row_sums_after(kernel, loops, output, machine, knobs);
  return {output};
}

}  // namespace kiln
