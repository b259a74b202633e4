// The 20-layer variant: convolution, SELU and normalisation each time (self-normalising networks, Klambauer et al.
// 2017: LeCun initialisation and alpha dropout go with SELU), widening as the image shrinks.
#include "dsl/graph.h"

using namespace kiln;

namespace {

/// Convolution, normalisation, SELU: one of the network's twenty layers.
Tensor layer(Tensor x, int64_t filters, std::vector<int64_t> strides = {1, 1}) {
  const int64_t fan_in = 9 * x.shape()[3];
  x = conv2d(x, {.filters = filters,
                 .strides = std::move(strides),
                 .padding = Padding::same(),
                 .use_bias = false,
                 .kernel_initializer = lecun_normal(fan_in)});
  return selu(batch_norm(x));
}

}  // namespace

Graph digits_deep() {
  Graph g{"digits_deep"};
  Tensor x = g.input("image", {28, 28, 1});
  x = layer(x, 16, {2, 2});
  for (int i = 0; i < 6; ++i) x = layer(x, 16);
  x = layer(x, 32, {2, 2});
  for (int i = 0; i < 5; ++i) x = layer(x, 32);
  x = layer(x, 48, {2, 2});
  for (int i = 0; i < 4; ++i) x = layer(x, 48);
  x = alpha_dropout(global_average_pool(x), {.rate = 0.05});
  x = selu(dense(x, {.units = 64, .kernel_initializer = lecun_normal(48)}));
  const Tensor probability = softmax(dense(x, {.units = 10}));

  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.train({.loss = categorical_cross_entropy(probability, digit),
           .optimizer = adam({.learning_rate = 2e-3}),
           .batch = 64,
           .epochs = 10,
           .validation_split = 0.2});
  return g;
}

KILN_GRAPH(digits_deep)
