#pragma once

#include "ops/definition.h"
#include "ops/reduce_sum.h"  // ReduceOptions

/// What reductions over whole axes share.
namespace kiln {

/// The result's shape; throws where an axis is out of range or named twice.
Shape reduced_shape(const Call& call);

/// Folds the input over the attribute `axes`.
Definition fold_axes(const Call& call, Fold kind);

/// The index of the last axis, along which classes lie; throws where x has none beside the batch.
int64_t last_axis(const Call& call);

/// The type of an operator along the last axis that keeps the shape: the input's, which must be real and have that
/// axis.
Type same_type_with_last_axis(const Call& call);

/// A use of a reduction over some axes, the batch among them or not.
Sample reduction_sample(Choices& choices, Tensor (*build)(Tensor, ReduceOptions, Location));

/// A use of an operator along the last axis, whose gradient vanishes where that has one element.
Sample last_axis_sample(Choices& choices, Tensor (*build)(Operand));

}  // namespace kiln
