// A small network that is compiled for several processors (see end_to_end/targets_test.cpp).
#include "dsl/graph.h"

using namespace kiln;

Graph variants() {
  Graph g{"variants"};
  Tensor x = g.input("image", {28, 28, 1});
  x = max_pool(batch_norm(relu(conv2d(x, {.filters = 8, .strides = {2, 2}}))));
  const Tensor probability = softmax(dense(flatten(x), {.units = 10}));
  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.train({.loss = categorical_cross_entropy(probability, digit), .optimizer = adam(), .batch = 32, .epochs = 2});
  return g;
}
KILN_GRAPH(variants)
