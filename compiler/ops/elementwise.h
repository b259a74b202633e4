#pragma once

#include "ir/graph.h"

/// What the element-wise operators share: shape rules, samples and the gradient of broadcasting.
namespace kiln {

/// The type of the only input, which must be real.
Type same_type(const Call& call);

/// NumPy's broadcasting of all inputs, which must be real.
Type broadcast_type(const Call& call);

/// The gradient of broadcasting `shape` to the cotangent's shape: sums over the dimensions that were stretched.
Tensor sum_to(Tensor cotangent, const Shape& shape);

/// A use of a unary operator: any shape, values in [low, high].
Sample unary_sample(Choices& choices, Tensor (*build)(Operand), double low, double high,
                    std::vector<double> kinks = {});

/// Types that broadcast against each other: equal, or stretched along some dimensions, or of lower rank.
std::vector<Type> broadcast_types(Choices& choices, size_t count);

/// A use of a binary operator with broadcasting.
Sample binary_sample(Choices& choices, Tensor (*build)(Operand, Operand), double low, double high);

}  // namespace kiln
