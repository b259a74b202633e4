// The optimizers' rules over several steps, against torch.optim and Keras's formulas (tests/fixtures/make_fixtures.py).
#include "dsl/optimizers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "autodiff/gradient.h"
#include "dsl/graph.h"
#include "lower/reference.h"
#include "ops/input.h"
#include "ops/parameter.h"

namespace kiln {
namespace {

using nlohmann::json;
using Values = std::vector<double>;

template <class Options>
Options common_options(const json& given) {
  Options options;
  options.learning_rate = given.value("learning_rate", options.learning_rate);
  return options;
}

Optimizer make_optimizer(const std::string& name, const json& given) {
  if (name == "rmsprop") {
    auto options = common_options<RmspropOptions>(given);
    options.rho = given.value("rho", options.rho);
    options.momentum = given.value("momentum", options.momentum);
    options.epsilon = given.value("epsilon", options.epsilon);
    return rmsprop(options);
  }
  if (name == "sgd") {
    auto options = common_options<SgdOptions>(given);
    options.momentum = given.value("momentum", options.momentum);
    options.nesterov = given.value("nesterov", options.nesterov);
    return sgd(options);
  }
  auto options = common_options<AdamOptions>(given);
  options.beta_1 = given.value("beta_1", options.beta_1);
  options.beta_2 = given.value("beta_2", options.beta_2);
  options.epsilon = given.value("epsilon", options.epsilon);
  options.weight_decay = given.value("weight_decay", options.weight_decay);
  return adam(options);
}

/// Runs the rule once a gradient, feeding the weight and the states back; the weights after each step.
std::vector<Values> run_steps(const Optimizer& optimizer, const json& weight, const json& gradients) {
  Graph graph("optimizer");
  const Shape shape = weight.at("shape");
  const Tensor w = graph.parameter("w", shape, zeros(), true, Location::here());
  const Tensor g = graph.parameter("gradient", shape, zeros(), false, Location::here());
  optimizer.update({graph, w, g, graph.scalar("learning_rate"), graph.scalar("step"), "w"});

  std::map<NodeId, Values> values;
  for (const Node& node : graph.nodes) {
    if (node.op == &parameter_operator) values[node.id].assign(element_count(node.type.shape), 0);
  }
  values[w.id()] = weight.at("values").get<Values>();
  std::vector<NodeId> results;
  for (const Update& update : graph.updates) results.push_back(update.value);
  const Reference reference(graph, results, 1);
  std::vector<Values> weights;
  for (size_t step = 0; step < gradients.size(); ++step) {
    values[g.id()] = gradients[step].at("values").get<Values>();
    const auto updated = reference.run(
        values, {.count = 1, .step = static_cast<int32_t>(step), .learning_rate = optimizer.learning_rate});
    for (size_t i = 0; i < graph.updates.size(); ++i) values[graph.updates[i].parameter] = updated[i];
    weights.push_back(values[w.id()]);
  }
  return weights;
}

TEST(Optimizers, StepsAreThoseOfTorchAndKeras) {
  std::ifstream file(std::string(KILN_SOURCE_DIR) + "/tests/fixtures/optimizers.json");
  ASSERT_TRUE(file.good());
  const json runs = json::parse(file).at("runs");
  ASSERT_GE(runs.size(), 12u);
  for (const json& run : runs) {
    SCOPED_TRACE(run.at("optimizer").get<std::string>() + run.at("options").dump() + ", " +
                 run.at("source").get<std::string>());
    const auto weights =
        run_steps(make_optimizer(run.at("optimizer"), run.at("options")), run.at("weight"), run.at("gradients"));
    for (size_t step = 0; step < weights.size(); ++step) {
      const Values expected = run.at("after").at(step).at("values").get<Values>();
      for (size_t i = 0; i < expected.size(); ++i) {
        // The same formula in f64; beta^t comes from exp(t log beta) here, which costs a few more bits.
        ASSERT_NEAR(weights[step][i], expected[i], 1e-10 * (1 + std::abs(expected[i]))) << "step " << step;
      }
    }
  }
}

TEST(Optimizers, DefaultsAreKerass) {
  EXPECT_EQ(rmsprop().learning_rate, 1e-3);
  EXPECT_EQ(sgd().learning_rate, 1e-2);
  EXPECT_EQ(adam().learning_rate, 1e-3);
  EXPECT_EQ(rmsprop().name, "rmsprop");
  EXPECT_EQ(sgd().name, "sgd");
  EXPECT_EQ(adam().name, "adam");
}

TEST(Optimizers, StatesAreNamedAfterTheWeight) {
  Graph graph("optimizer");
  const Tensor w = graph.parameter("dense/kernel", {3}, zeros(), true, Location::here());
  const Tensor g = graph.parameter("gradient", {3}, zeros(), false, Location::here());
  adam().update({graph, w, g, graph.scalar("learning_rate"), graph.scalar("step"), "dense/kernel"});
  std::vector<std::string> states;
  for (const Node& node : graph.nodes) {
    if (node.op == &parameter_operator && node.id > g.id()) {
      states.push_back(std::get<std::string>(node.attributes.at("name")));
      EXPECT_FALSE(std::get<bool>(node.attributes.at("trainable")));
    }
  }
  EXPECT_EQ(states, (std::vector<std::string>{"dense/kernel/momentum", "dense/kernel/velocity"}));
}

TEST(Optimizers, CarryTheirClipping) {
  EXPECT_EQ(rmsprop({.clip_value = 0.5}).clip_value, 0.5);
  EXPECT_EQ(sgd({.clip_norm = 2}).clip_norm, 2);
  EXPECT_EQ(adam({.global_clip_norm = 3}).global_clip_norm, 3);
  EXPECT_EQ(adam().global_clip_norm, 0);
}

/// The weights a = {3, 4} and b = {0.6} after one step at rate 1 of the loss a.a / 2 + b.b / 2 + l2 * (a.a + b.b),
/// whose gradients are (1 + 2 * l2) times themselves.
std::vector<Values> clipped_step(SgdOptions options, double l2) {
  Graph graph("clipped");
  const Tensor a = graph.parameter("a", {2}, zeros(), true), b = graph.parameter("b", {1}, zeros(), true);
  for (const Tensor& weight : {a, b}) graph.regularize(weight, l2);
  options.learning_rate = 1;
  const auto half = [](Tensor x) { return reshape(reduce_sum(square(x), {.axes = {0}}), {}) * 0.5; };
  graph.train({.loss = half(a) + half(b), .optimizer = sgd(options)});
  const Graph step = training_step(graph);
  std::map<NodeId, Values> values;
  std::vector<NodeId> results;
  for (const Update& update : step.updates) {
    results.push_back(update.value);
    values[update.parameter] = step.node(update.parameter).type.shape == Shape{2} ? Values{3, 4} : Values{0.6};
  }
  return Reference(step, results, 1).run(values, {.count = 1, .learning_rate = 1});
}

// By hand: norms 5 and 0.6, together sqrt(25.36).
TEST(Optimizers, ClipGradientsAsKerasDoes) {
  const auto expect = [](const std::vector<Values>& found, const Values& a, double b) {
    ASSERT_EQ(found.size(), 2U);
    EXPECT_NEAR(found[0][0], a[0], 1e-12);
    EXPECT_NEAR(found[0][1], a[1], 1e-12);
    EXPECT_NEAR(found[1][0], b, 1e-12);
  };
  expect(clipped_step({}, 0), {0, 0}, 0);
  expect(clipped_step({.clip_value = 3.5}, 0), {0, 0.5}, 0);
  expect(clipped_step({.clip_norm = 1}, 0), {3 - 0.6, 4 - 0.8}, 0);
  const double shrunk = 1 / std::sqrt(25.36);
  expect(clipped_step({.global_clip_norm = 1}, 0), {3 - 3 * shrunk, 4 - 4 * shrunk}, 0.6 - 0.6 * shrunk);
  expect(clipped_step({.global_clip_norm = 6}, 0), {0, 0}, 0);
  // The regularizer's gradient is clipped with the rest.
  expect(clipped_step({}, 0.25), {3 - 4.5, 4 - 6}, 0.6 - 0.9);
  expect(clipped_step({.clip_value = 3.5}, 0.25), {3 - 3.5, 4 - 3.5}, 0.6 - 0.9);
}

}  // namespace
}  // namespace kiln
