// A small residual network (He, Zhang, Ren, Sun 2015), the form for small images with one block a stage: each block
// adds two convolutions to its input, and where the shape changes a 1x1 convolution brings the input to the new one.
#include "dsl/graph.h"

using namespace kiln;

namespace {

Tensor convolution(Tensor x, int64_t filters, int64_t kernel, int64_t stride) {
  x = conv2d(x, {.filters = filters,
                 .kernel = {kernel, kernel},
                 .strides = {stride, stride},
                 .padding = Padding::same(),
                 .use_bias = false});
  return batch_norm(x, {.momentum = 0.9});
}

Tensor block(const Tensor& x, int64_t filters, int64_t stride) {
  const Tensor shortcut = stride == 1 ? x : convolution(x, filters, 1, stride);
  const Tensor residual = convolution(relu(convolution(x, filters, 3, stride)), filters, 3, 1);
  return relu(shortcut + residual);
}

}  // namespace

Graph resnet() {
  Graph g{"resnet"};
  Tensor x = g.input("image", {28, 28, 1});
  x = relu(convolution(x, 16, 3, 1));
  x = block(x, 16, 1);
  x = block(x, 32, 2);
  x = block(x, 64, 2);
  const Tensor probability = softmax(dense(global_average_pool(x), {.units = 10}));

  const Tensor digit = g.label("digit", 10);
  g.output("probability", probability);
  g.metric("accuracy", categorical_accuracy(probability, digit));
  g.train({.loss = categorical_cross_entropy(probability, digit),
           .optimizer = sgd({.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}),
           .batch = 64,
           .epochs = 10,
           .validation_split = 0.2});
  return g;
}

KILN_GRAPH(resnet)
