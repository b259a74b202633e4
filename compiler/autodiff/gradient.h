#pragma once

#include "ir/graph.h"

namespace kiln {

/// Appends the gradient of `scalar` with respect to each of the tensors, by reverse accumulation over the primitive
/// operators' rules. A tensor that the scalar does not depend on gets an empty one.
std::vector<Tensor> gradients(Graph& graph, Tensor scalar, const std::vector<Tensor>& with_respect_to);

/// The expanded graph with the regularizers in its loss, as training and, in Keras, validation report it.
Graph with_regularizers(Graph expanded);

/// The whole training step as an ordinary graph: an expanded graph plus gradients, clipping and the optimizer's
/// updates. Its loss includes the regularizers.
Graph training_step(Graph expanded);

}  // namespace kiln
