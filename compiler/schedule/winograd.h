#pragma once

#include <optional>

#include "schedule/recipe.h"

namespace kiln {

/// The matrices of a Winograd (Toom-Cook) convolution F(outputs, taps): a tile of m results of a filter with r taps from
/// m + r - 1 inputs by as many multiplications: y = output * ((weight * g) .* (input * d)).
/// Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015; points 0, 1, -1, 2, -2, 1/2, -1/2.
struct WinogradMatrices {
  using Matrix = std::vector<std::vector<double>>;
  Matrix input, weight, output;
};
WinogradMatrices winograd_matrices(int outputs, int taps);

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

}  // namespace kiln
