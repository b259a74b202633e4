// Depthwise-separable convolutions (MobileNet, Howard et al. 2017): each channel is filtered by itself, then a 1x1
// convolution mixes them; a ninth of the products of a 3x3 convolution, near enough.
#include "dsl/graph.h"

using namespace kiln;

namespace {

Tensor separable_convolution(Tensor x, int64_t filters, int64_t stride) {
  x = depthwise_conv2d(x, {.strides = {stride, stride}, .padding = Padding::same(), .use_bias = false});
  x = relu(batch_norm(x, {.momentum = 0.9}));
  x = conv2d(x, {.filters = filters, .kernel = {1, 1}, .use_bias = false});
  return relu(batch_norm(x, {.momentum = 0.9}));
}

}  // namespace

Graph mobilenet() {
  Graph g{"mobilenet"};
  Tensor x = g.input("image", {28, 28, 1});
  x = conv2d(x, {.filters = 16, .strides = {2, 2}, .padding = Padding::same(), .use_bias = false});
  x = relu(batch_norm(x, {.momentum = 0.9}));
  x = separable_convolution(x, 32, 1);
  x = separable_convolution(x, 64, 2);
  x = separable_convolution(x, 64, 1);
  x = separable_convolution(x, 128, 2);
  x = separable_convolution(x, 128, 1);
  x = dropout(global_average_pool(x), {.rate = 0.1});
  const Tensor probability = softmax(dense(x, {.units = 10}));

  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.train({.loss = categorical_cross_entropy(probability, digit),
           .optimizer = rmsprop(),
           .batch = 64,
           .epochs = 10,
           .validation_split = 0.2});
  return g;
}

KILN_GRAPH(mobilenet)
