// The digit recogniser of Kaggle's competition, as its Keras original has it: three convolutions, each normalised along
// the row axis, and two dense layers. 1,886,354 parameters.
#include "dsl/graph.h"

using namespace kiln;

Graph digits() {
  Graph g{"digits"};
  Tensor x = g.input("image", {28, 28, 1});

  x = conv2d(x, {.filters = 32, .kernel = {3, 3}});
  x = relu(x);
  x = batch_norm(x, {.axis = 1, .epsilon = 1e-6});
  x = max_pool(x, {.size = {2, 2}});

  x = zero_padding2d(x, {.padding = {1}});
  x = conv2d(x, {.filters = 48, .kernel = {3, 3}});
  x = relu(x);
  x = batch_norm(x, {.axis = 1, .epsilon = 1e-6});
  x = max_pool(x, {.size = {2, 2}});

  x = zero_padding2d(x, {.padding = {1}});
  x = conv2d(x, {.filters = 64, .kernel = {2, 2}});
  x = relu(x);
  x = batch_norm(x, {.axis = 1, .epsilon = 1e-6});
  x = max_pool(x, {.size = {2, 2}});

  x = dropout(x, {.rate = 0.25});
  x = flatten(x);
  x = relu(dense(x, {.units = 3168}));
  const Tensor probability = softmax(dense(x, {.units = 10}));

  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.metric("binary_accuracy", binary_accuracy(probability, digit));
  g.train({.loss = binary_cross_entropy(probability, digit),
           .optimizer = rmsprop(),
           .batch = 64,
           .epochs = 50,
           .validation_split = 0.2});
  return g;
}

KILN_GRAPH(digits)
