#pragma once

#include "ir/graph.h"

/// What the element-wise operators share: shape rules and the gradient of broadcasting.
namespace kiln {

/// The type of the only input, which must be real.
Type same_type(const Call& call);

/// NumPy's broadcasting of all inputs, which must be real.
Type broadcast_type(const Call& call);

/// The gradient of broadcasting `shape` to the cotangent's shape: sums over the dimensions that were stretched.
Tensor sum_to(Tensor cotangent, const Shape& shape);

/// Samples of a unary operator: rank 1 to 4, sizes that are no multiple of a vector; values in [low, high].
std::vector<Sample> unary_samples(Tensor (*build)(Operand), double low, double high);

/// Samples of a binary operator: equal shapes, a broadcast channel, a broadcast row, a scalar.
std::vector<Sample> binary_samples(Tensor (*build)(Operand, Operand), double low, double high);

}  // namespace kiln
