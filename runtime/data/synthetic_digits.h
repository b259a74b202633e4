#pragma once

#include "data/dataset.h"

namespace kiln {

/// Handwritten-looking digits: strokes with random slant, rotation, width, size, curvature and noise, centred as
/// MNIST's are (20 x 20 in 28 x 28, by centre of mass). Image i of a seed is the same whatever else is made, by any
/// number of threads.
Dataset synthetic_digits(int64_t count, uint64_t seed, int threads, int64_t first = 0);

}  // namespace kiln
