#pragma once

#include "ir/graph.h"

/// What losses and metrics share.
namespace kiln {

/// A scalar; throws where the two inputs (prediction, target) are not real or differ in shape.
Type scalar_of_pair(const Call& call);

/// The target with a part `label_smoothing` of it spread evenly over `classes`; where the graph file says 0, the part
/// is the scalar of that name, which the trainer passes to each step.
Tensor smoothed(const Tensor& target, double label_smoothing, double classes);

/// The mean of all elements of x as a scalar; of the batch only rows that hold data count.
Tensor mean_of_all(Tensor x);

}  // namespace kiln
