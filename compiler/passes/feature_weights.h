#pragma once

#include "ir/graph.h"

namespace kiln {

/// Dense layers with at least so many inputs, a multiple of kDotLanes, are dot products of contiguous rows of weights:
/// transposing those would bring nothing.
inline constexpr int64_t kLongDot = 128, kDotLanes = 16;

/// True for such a product of whole rows, out[row, unit] = sum over k of values[row, k] * weights[unit, k]. `weights`
/// is the operand that has no batch: 0 or 1; the shapes are those of the operands.
bool is_long_dot(const Contraction& c, int weights, const Shape& left, const Shape& right);

/// Rewrites contractions with weights for a program of one row: the weights' summed dimensions first, then those of the
/// result, so that neighbouring features are neighbours in memory (filters x rows x columns x channels becomes rows x
/// columns x channels x filters). Such dot products use each weight once, so that reading them is what takes the time:
/// in mixed precision they are kept in bf16. The changed weights depend on parameters only and are prepared.
Graph with_feature_weights(const Graph& graph);

}  // namespace kiln
