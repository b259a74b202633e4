#pragma once

#include "random_graphs/sketch.h"

namespace kiln::testing {

/// A valid graph file of `layers` operations between its inputs and its loss, a function of the seed alone: branches,
/// residuals, shared parameters, layers of every kind, a loss, metrics, an optimizer. Values stay of moderate size and
/// away from the singularities of logarithms, roots and quotients, so that f32 can be compared with f64.
Sketch random_sketch(uint64_t seed, int layers);
/// The same with a random number of layers from 3 to 40, small ones more often.
Sketch random_sketch(uint64_t seed);

/// The sketch with one or two mistakes in it, mostly: a wrong shape, setting, operand, name, a loss or output missing.
Sketch with_mistake(Sketch sketch, uint64_t seed);

}  // namespace kiln::testing
