// Logistic regression over ten digits: small, so that it compiles quickly.
#include "dsl/graph.h"

using namespace kiln;

Graph logistic() {
  Graph g{"logistic"};
  const Tensor image = g.input("image", {28, 28, 1});
  const Tensor probability = softmax(dense(flatten(image), {.units = 10}));
  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.train({.loss = categorical_cross_entropy(probability, digit), .optimizer = rmsprop(), .batch = 32});
  return g;
}

KILN_GRAPH(logistic)
