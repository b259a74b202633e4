// The vocabulary at work: small networks of many operators learn in the unscheduled f64 evaluation of their training
// step.
#include <gtest/gtest.h>

#include <cmath>

#include "autodiff/gradient.h"
#include "dsl/graph.h"
#include "lower/reference.h"
#include "ops/evaluation.h"
#include "ops/input.h"
#include "ops/parameter.h"
#include "passes/expand.h"

namespace kiln {
namespace {

using testing::random_values;
using Values = std::vector<double>;

constexpr int64_t kBatchRows = 6;

/// The losses of `steps` steps on one batch of images that show their class, of which the last row holds no data.
std::vector<double> losses(const Graph& graph, int steps) {
  const Graph step = training_step(expand(graph, true));
  std::map<NodeId, Values> values;
  uint32_t seed = 1;
  for (const Node& node : step.nodes) {
    if (node.op != &input_operator && node.op != &parameter_operator) continue;
    const size_t count = static_cast<size_t>(element_count(node.type.shape, kBatchRows));
    Values& value = values[node.id];
    if (node.type.element == ElementType::int32) {
      for (size_t i = 0; i < count; ++i) value.push_back(static_cast<double>(i % 3));
    } else if (node.op == &input_operator) {
      value = random_values(count, 0, 0.2, seed++);
      const size_t pixels = count / kBatchRows;
      for (size_t row = 0; row < kBatchRows; ++row) {
        for (size_t i = row % 3; i < pixels; i += 3) value[row * pixels + i] += 1;
      }
    } else {
      const double scale = std::get<double>(node.attributes.at("scale"));
      const bool constant = std::get<int64_t>(node.attributes.at("initializer")) == 0;
      value = constant ? Values(count, scale) : random_values(count, -scale, scale, seed++);
    }
  }
  std::vector<NodeId> results = {*step.loss};
  for (const Update& update : step.updates) results.push_back(update.value);
  const Reference reference(step, results, kBatchRows);
  std::vector<double> found;
  for (int i = 0; i < steps; ++i) {
    const auto after = reference.run(values, {.count = kBatchRows - 1, .seed = 1, .step = i, .learning_rate = 0.01});
    found.push_back(after[0].at(0));
    for (size_t k = 0; k < step.updates.size(); ++k) values[step.updates[k].parameter] = after[1 + k];
  }
  return found;
}

void expect_learning(const Graph& graph) {
  const std::vector<double> history = losses(graph, 40);
  for (const double loss : history) ASSERT_TRUE(std::isfinite(loss));
  EXPECT_LT(history.back(), 0.5 * history.front());
}

TEST(Training, ANetworkOfTheDigitsKindLearns) {
  Graph g("small");
  Tensor x = g.input("image", {9, 9, 1});
  x = max_pool(batch_norm(relu(conv2d(x, {.filters = 4})), {.axis = 1, .epsilon = 1e-6}));
  x = max_pool(batch_norm(relu(conv2d(zero_padding2d(x), {.filters = 3, .kernel = {2, 2}}))));
  x = dense(flatten(dropout(x, {.rate = 0.25})), {.units = 8});
  const Tensor p = softmax(dense(relu(x), {.units = 3})), label = g.label("label", 3);
  g.train({.loss = binary_cross_entropy(p, label), .optimizer = rmsprop()});
  expect_learning(g);
}

TEST(Training, ASelfNormalisingNetworkLearns) {
  Graph g("small");
  Tensor x = g.input("image", {9, 9, 1});
  x = selu(conv2d(x, {.filters = 4, .strides = {2, 2}, .kernel_initializer = lecun_normal(9)}));
  x = alpha_dropout(average_pool(batch_norm(x)), {.rate = 0.1});
  x = concatenate({global_average_pool(x), global_max_pool(x)});
  x = selu(dense(x, {.units = 8, .kernel_initializer = lecun_normal(8), .kernel_l2 = 1e-4}));
  const Tensor logits = dense(x, {.units = 3}), label = g.label("label", 3);
  g.train({.loss = categorical_cross_entropy(logits, label, {.from_logits = true}),
           .optimizer = adam({.global_clip_norm = 5})});
  expect_learning(g);
}

TEST(Training, AResidualNetworkLearns) {
  Graph g("small");
  Tensor x = g.input("image", {6, 6, 2});
  const Tensor inner = gelu(depthwise_conv2d(x, {.padding = Padding::same()}));
  x = elu(x + conv2d(inner, {.filters = 2, .padding = Padding::same(), .groups = 2}));
  x = leaky_relu(min_pool(x, {.size = {3, 3}}));
  const Tensor p = sigmoid(dense(tanh(dense(flatten(x), {.units = 6})), {.units = 3})), label = g.label("label", 3);
  g.train({.loss = mean_squared_error(p, label), .optimizer = sgd({.momentum = 0.9, .clip_norm = 100})});
  const std::vector<double> history = losses(g, 40);
  EXPECT_LT(history.back(), history.front());
}

}  // namespace
}  // namespace kiln
