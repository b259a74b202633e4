// A network with branches, a residual connection and most kinds of layers that other tools have, without dropout, so
// that two programs that train it must agree.
#include "dsl/graph.h"

using namespace kiln;

Graph branches() {
  Graph g{"branches"};
  Tensor x = g.input("image", {28, 28, 1});
  x = leaky_relu(conv2d(x, {.filters = 8, .strides = {2, 2}, .padding = Padding::same(), .kernel_l2 = 1e-4}),
                 {.negative_slope = 0.1});
  x = batch_norm(x, {.axis = 2, .momentum = 0.9});
  const Tensor left = elu(depthwise_conv2d(x, {.padding = Padding::explicit_(1, 1, 1, 1), .depth_multiplier = 2}));
  const Tensor right = gelu(conv2d(x, {.filters = 16, .kernel = {1, 1}, .groups = 2, .use_bias = false}));
  x = tanh(left + 0.5 * right);
  const Tensor pooled = max_pool(x),
               averaged = average_pool(x, {.size = {3, 3}, .strides = {2, 2}, .padding = Padding::same()});
  x = concatenate({pooled, averaged, min_pool(x)});
  x = conv2d(zero_padding2d(x, {.padding = {1, 0, 0, 1}}), {.filters = 12, .kernel = {2, 2}, .dilation = {2, 1}});
  x = concatenate({global_average_pool(x), global_max_pool(selu(x)), flatten(max_pool(x, {.size = {3, 3}}))});
  x = sigmoid(dense(reshape(x, {kBatch, x.shape()[1]}), {.units = 24}));
  const Tensor probability = softmax(dense(x, {.units = 10, .kernel_l2 = 1e-3}));
  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.train({.loss = categorical_cross_entropy(probability, digit, {.label_smoothing = 0.1}),
           .optimizer = sgd({.learning_rate = 0.05, .momentum = 0.9, .nesterov = true}),
           .batch = 64,
           .epochs = 3,
           .validation_split = 0});
  return g;
}

KILN_GRAPH(branches)
