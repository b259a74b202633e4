#pragma once

#include <optional>

#include "schedule/recipe.h"

namespace kiln {

/// The matrices of a Winograd (Toom-Cook) convolution F(outputs, taps): a tile of m results of a filter with r taps
/// from m + r - 1 inputs by as many multiplications: y = output * ((weight * g) .* (input * d)). Lavin and Gray, "Fast
/// algorithms for convolutional neural networks", 2015; points 0, 1, -1, 2, -2, 1/2, -1/2.
struct WinogradMatrices {
  using Matrix = std::vector<std::vector<double>>;
  Matrix input, weight, output;
};
WinogradMatrices winograd_matrices(int outputs, int taps);

/// Element `row` of matrix * values; `row` becomes a constant when its loop is unrolled.
Halide::Expr transformed(const WinogradMatrices::Matrix& matrix, const Halide::Expr& row,
                         const std::function<Halide::Expr(int)>& value);

/// How many results a tile may have in each direction.
std::vector<int> winograd_outputs(int taps);
/// Multiplications for each pair of features in tiles of `outputs`.
double winograd_products(int64_t rows, int64_t columns, int outputs, int taps);
/// The tile among `legal` that takes the least time for a batch of `lanes` rows.
int best_winograd_outputs(const std::vector<int>& legal, int64_t rows, int64_t columns, int taps, int64_t lanes);

/// What makes a contraction a two-dimensional convolution of stride 1 (its input gradient is one too).
struct StrideOneConvolution {
  int image = 0, weights = 1;    // operands
  int taps = 0;                  // of the kernel, in both directions
  size_t feature = 0;            // loop of the result's features
  size_t channel = 0;            // summed loop of the image's features
  size_t tap_loop[2] = {0, 0};   // rows, columns
  int64_t tap_sign[2] = {1, 1};  // an input gradient walks backwards
  int64_t offset[2] = {0, 0};
};
std::optional<StrideOneConvolution> stride_one_convolution(const KernelExpressions& kernel, const Contraction& c,
                                                           NodeId anchor);

/// True where a Winograd convolution multiplies much less than the direct one.
bool winograd_pays(const KernelExpressions& kernel, const Contraction& c, NodeId anchor);

/// A convolution of stride 1 by Winograd's method: tiles of the image are transformed into the caches, multiplied as
/// matrices and transformed back on the way to the epilogue.
Recipe contraction_by_winograd(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs);

/// What makes a contraction the weight gradient of such a convolution.
struct StrideOneWeightGradient {
  int image = 1, cotangent = 0;  // operands
  int taps = 0;
  size_t feature = 0, channel = 0;  // loops of the result
  size_t tap_loop[2] = {0, 0};      // rows, columns, of the result
  size_t place_loop[2] = {0, 0};    // rows, columns, summed
  size_t batch = 0;                 // summed
  int64_t offset[2] = {0, 0};
};
std::optional<StrideOneWeightGradient> stride_one_weight_gradient(const KernelExpressions& kernel, const Contraction& c,
                                                                  NodeId anchor);
bool winograd_weight_gradient_pays(const KernelExpressions& kernel, const Contraction& c, NodeId anchor);

/// The weight gradient by the same method, backwards: tiles of image and cotangent are transformed, multiplied and
/// summed over tiles and batch for each pair of features, and the sums transformed to taps. One row of the transform's
/// elements at a time, so that a row's tiles stay in the caches.
Recipe weight_gradient_by_winograd(KernelExpressions& kernel, NodeId anchor, const Machine& machine, Knobs& knobs);

}  // namespace kiln
