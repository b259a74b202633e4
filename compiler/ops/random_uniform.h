#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator random_uniform_operator;

struct RandomUniformOptions {
  Shape shape;
  int64_t stream = 0;  // two draws of different streams are independent
};

/// Random numbers in [0, 1), new ones in each step: a function of the seed, the step, the stream and the element's
/// row-major index only, so that neither layout nor threads nor the size of the batch changes them.
Tensor random_uniform(Graph& graph, RandomUniformOptions options, Location location = Location::here());

/// A stream that no node of the graph draws from yet.
int64_t fresh_stream(const Graph& graph);

}  // namespace kiln
