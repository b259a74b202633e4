#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator contraction_operator;

/// The sum of products that the specification describes; dense layers, convolutions and their gradients are built of
/// it. A sum over the batch is an error: rows without data would count.
Tensor contraction(Tensor left, Tensor right, Contraction specification, Location location = Location::here());

/// The specification of the gradient with respect to the left or right operand: a contraction of the cotangent (left)
/// and the other operand (right). `output` is the node of the forward contraction. Throws a UserError, at its line,
/// where the gradient is none: an operand's dimensions must follow loops of their own.
Contraction gradient_contraction(const Contraction& forward, bool of_left, const Shape& operand, const Node& output);

}  // namespace kiln
