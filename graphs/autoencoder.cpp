// An autoencoder: 32 numbers an image, from which a second half of the network draws the image again. What it learns
// from is the image itself; there is no label.
#include "dsl/graph.h"

using namespace kiln;

Graph autoencoder() {
  Graph g{"autoencoder"};
  const Tensor image = g.input("image", {28, 28, 1});
  Tensor x = relu(dense(flatten(image), {.units = 256}));
  x = dense(x, {.units = 32});
  x = relu(dense(x, {.units = 256}));
  x = sigmoid(dense(x, {.units = 28 * 28}));
  const Tensor reconstruction = reshape(x, {kBatch, 28, 28, 1});

  g.output("reconstruction", reconstruction);
  g.train({.loss = mean_squared_error(reconstruction, image),
           .optimizer = adam(),
           .batch = 64,
           .epochs = 10,
           .validation_split = 0.2});
  return g;
}

KILN_GRAPH(autoencoder)
