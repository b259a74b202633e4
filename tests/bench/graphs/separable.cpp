// A network of depthwise-separable convolutions (MobileNet's, Howard et al. 2017) for images of 32 x 32 x 3.
#include "dsl/graph.h"

using namespace kiln;

namespace {

/// Each channel by itself, then all channels at each place.
Tensor separable_convolution(Tensor x, int64_t filters, int64_t stride) {
  x = depthwise_conv2d(x, {.strides = {stride, stride}, .padding = Padding::same(), .use_bias = false});
  x = relu(batch_norm(x));
  x = conv2d(x, {.filters = filters, .kernel = {1, 1}, .use_bias = false});
  return relu(batch_norm(x));
}

}  // namespace

Graph separable() {
  Graph g{"separable"};
  Tensor x = g.input("image", {32, 32, 3});
  x = conv2d(x, {.filters = 32, .kernel = {3, 3}, .padding = Padding::same(), .use_bias = false});
  x = relu(batch_norm(x));
  x = separable_convolution(x, 64, 1);
  x = separable_convolution(x, 128, 2);
  x = separable_convolution(x, 128, 1);
  x = separable_convolution(x, 256, 2);
  x = separable_convolution(x, 256, 1);
  const Tensor probability = softmax(dense(global_average_pool(x), {.units = 10}));
  const Tensor label = g.label("label", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, label));
  g.train({.loss = categorical_cross_entropy(probability, label), .optimizer = rmsprop(), .batch = 64});
  return g;
}

KILN_GRAPH(separable)
