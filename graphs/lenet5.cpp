// LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998: "Gradient-based learning applied to document recognition"), as it is
// usually built today: mean pooling without weights, every map connected to every other, softmax at the end.
#include "dsl/graph.h"

using namespace kiln;

Graph lenet5() {
  Graph g{"lenet5"};
  Tensor x = g.input("image", {28, 28, 1});
  x = tanh(conv2d(x, {.filters = 6, .kernel = {5, 5}, .padding = Padding::same()}));
  x = average_pool(x);
  x = tanh(conv2d(x, {.filters = 16, .kernel = {5, 5}}));
  x = average_pool(x);
  x = tanh(dense(flatten(x), {.units = 120}));
  x = tanh(dense(x, {.units = 84}));
  const Tensor probability = softmax(dense(x, {.units = 10}));

  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.train({.loss = categorical_cross_entropy(probability, digit),
           .optimizer = sgd({.learning_rate = 0.05, .momentum = 0.9}),
           .batch = 64,
           .epochs = 10,
           .validation_split = 0.2});
  return g;
}

KILN_GRAPH(lenet5)
