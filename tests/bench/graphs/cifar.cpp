// A network for images of 32 x 32 x 3: three pairs of convolutions, each normalised over channels.
#include "dsl/graph.h"

using namespace kiln;

Graph cifar() {
  Graph g{"cifar"};
  Tensor x = g.input("image", {32, 32, 3});
  for (const int64_t filters : {32, 64, 128}) {
    for (int i = 0; i < 2; ++i) {
      x = conv2d(x, {.filters = filters, .kernel = {3, 3}, .padding = Padding::same(), .use_bias = false});
      x = relu(batch_norm(x));
    }
    x = max_pool(x, {.size = {2, 2}});
  }
  x = relu(dense(flatten(x), {.units = 128}));
  const Tensor probability = softmax(dense(x, {.units = 10}));
  const Tensor label = g.label("label", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, label));
  g.train({.loss = categorical_cross_entropy(probability, label), .optimizer = rmsprop(), .batch = 64});
  return g;
}

KILN_GRAPH(cifar)
