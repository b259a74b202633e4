// A multi-layer perceptron: what the first chapter of any course trains. No convolution, so that it takes any rows of
// numbers once `input` says how many.
#include "dsl/graph.h"

using namespace kiln;

Graph mlp() {
  Graph g{"mlp"};
  Tensor x = flatten(g.input("image", {28, 28, 1}));
  x = dropout(relu(dense(x, {.units = 512})), {.rate = 0.2});
  x = dropout(relu(dense(x, {.units = 512})), {.rate = 0.2});
  const Tensor probability = softmax(dense(x, {.units = 10}));

  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.train({.loss = categorical_cross_entropy(probability, digit),
           .optimizer = adam(),
           .batch = 64,
           .epochs = 10,
           .validation_split = 0.2});
  return g;
}

KILN_GRAPH(mlp)
