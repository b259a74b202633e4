#pragma once

#include "ir/graph.h"

/// What losses and metrics share.
namespace kiln {

/// A scalar; throws where the two inputs (prediction, target) are not real or differ in shape.
Type scalar_of_pair(const Call& call);

/// The mean of all elements of x as a scalar; of the batch only rows that hold data count.
Tensor mean_of_all(Tensor x);

}  // namespace kiln
