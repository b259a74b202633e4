// Names, places and parameters of user-level calls, and that they survive expansion.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "dsl/graph.h"
#include "ops/parameter.h"
#include "passes/expand.h"

namespace kiln {
namespace {

std::vector<std::string> parameter_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) {
    if (node.op == &parameter_operator) names.push_back(std::get<std::string>(node.attributes.at("name")));
  }
  return names;
}

TEST(Layers, AreNumberedAsInKeras) {
  Graph g("layers");
  Tensor x = g.input("image", {8, 8, 3});
  x = conv2d(x, {.filters = 4});
  EXPECT_EQ(x.node().layer, "conv2d");
  x = conv2d(x, {.filters = 4, .use_bias = false});
  EXPECT_EQ(x.node().layer, "conv2d_1");
  x = batch_norm(x);
  EXPECT_EQ(x.node().layer, "batch_norm");
  x = relu(relu(x));
  EXPECT_EQ(x.node().layer, "relu_1");
  x = depthwise_conv2d(x, {.depth_multiplier = 2});
  x = dense(flatten(x), {.units = 5});
  EXPECT_EQ(x.node().layer, "dense");
  EXPECT_EQ(parameter_names(g), (std::vector<std::string>{
                                    "conv2d/kernel", "conv2d/bias", "conv2d_1/kernel", "batch_norm/gamma",
                                    "batch_norm/beta", "batch_norm/moving_mean", "batch_norm/moving_variance",
                                    "depthwise_conv2d/kernel", "depthwise_conv2d/bias", "dense/kernel", "dense/bias"}));
}

TEST(Layers, ParametersHaveTheirLayersPlace) {
  Graph g("layers");
  const Tensor x = g.input("x", {3});
  const Tensor y = dense(x, {.units = 2});
  const int line = __LINE__ - 1;
  for (const Node& node : g.nodes) {
    if (node.layer != "dense") continue;
    EXPECT_EQ(node.location.line, line) << node.op->name;
    EXPECT_STREQ(node.location.file, __FILE__) << node.op->name;
  }
  EXPECT_EQ(y.node().location.line, line);
}

TEST(Layers, PlacesOfOperatorsAreTheCallers) {
  Graph g("layers");
  const Tensor x = g.input("x", {3});
  const Tensor sum = x + 2.0 * x;
  EXPECT_EQ(sum.node().location.line, __LINE__ - 1);
  EXPECT_EQ(g.node(sum.node().inputs[1]).location.line, __LINE__ - 2);
  const Tensor squashed = sigmoid(sum);
  EXPECT_EQ(squashed.node().location.line, __LINE__ - 1);
  const Tensor joined = concatenate({x, sum});
  EXPECT_EQ(joined.node().location.line, __LINE__ - 1);
}

TEST(Layers, SurviveExpansion) {
  Graph g("layers");
  std::map<std::string, int> lines;
  const Tensor image = g.input("image", {6, 6, 2});
  Tensor x = image;
  x = conv2d(zero_padding2d(x), {.filters = 4}), lines["conv2d"] = lines["zero_padding2d"] = __LINE__;
  x = batch_norm(x), lines["batch_norm"] = __LINE__;
  x = gelu(x), lines["gelu"] = __LINE__;
  x = alpha_dropout(dropout(x), {.rate = 0.1}), lines["dropout"] = lines["alpha_dropout"] = __LINE__;
  x = min_pool(x), lines["min_pool"] = __LINE__;
  x = dense(flatten(x), {.units = 3}), lines["dense"] = lines["flatten"] = __LINE__;
  x = softmax(x), lines["softmax"] = __LINE__;
  g.output("y", x);
  const Tensor label = g.label("label", 3);
  g.metric("entropy", categorical_cross_entropy(x, label)), lines["categorical_cross_entropy"] = __LINE__;

  const Graph expanded = expand(g, true);
  std::set<std::string> seen;
  for (const Node& node : expanded.nodes) {
    EXPECT_EQ(node.op->expand, nullptr) << node.op->name;
    EXPECT_STREQ(node.location.file, __FILE__) << node.op->name;
    const auto line = lines.find(node.layer);
    if (line == lines.end()) continue;
    EXPECT_EQ(node.location.line, line->second) << node.op->name << " of " << node.layer;
    seen.insert(node.layer);
  }
  EXPECT_EQ(seen.size(), lines.size()) << "every layer left nodes behind";
}

TEST(Layers, AnErrorLeavesTheGraphUsable) {
  Graph g("layers");
  const Tensor x = g.input("x", {4, 4, 1});
  EXPECT_THROW(conv2d(x, {.filters = 0}), UserError);
  EXPECT_FALSE(g.scope.has_value());
  EXPECT_EQ(conv2d(x, {.filters = 1, .kernel = {2, 2}}).shape(), (Shape{kBatch, 3, 3, 1}));
}

TEST(Layers, KernelsAreRegularizedOnRequest) {
  Graph g("layers");
  Tensor x = g.input("x", {4, 4, 1});
  x = conv2d(x, {.filters = 2, .kernel = {2, 2}, .kernel_l2 = 0.1});
  x = depthwise_conv2d(x, {.kernel = {2, 2}, .kernel_l2 = 0.2});
  x = dense(flatten(x), {.units = 1, .kernel_l2 = 0.3});
  x = dense(x, {.units = 1});
  std::map<std::string, double> found;
  for (const auto& regularizer : g.regularizers) {
    found[std::get<std::string>(g.node(regularizer.weight).attributes.at("name"))] = regularizer.l2;
  }
  EXPECT_EQ(found, (std::map<std::string, double>{
                       {"conv2d/kernel", 0.1}, {"depthwise_conv2d/kernel", 0.2}, {"dense/kernel", 0.3}}));
}

TEST(Layers, KernelsStartAsKerass) {
  Graph g("layers");
  const Tensor x = g.input("x", {5, 5, 3});
  const auto initializer = [&](const std::string& name) {
    for (const Node& node : g.nodes) {
      if (node.op == &parameter_operator && std::get<std::string>(node.attributes.at("name")) == name) {
        return std::pair{std::get<int64_t>(node.attributes.at("initializer")),
                         std::get<double>(node.attributes.at("scale"))};
      }
    }
    throw InternalError("no parameter " + name);
  };
  const auto uniform = static_cast<int64_t>(Initializer::Kind::uniform);
  conv2d(x, {.filters = 4});  // fans 3 * 3 * 3 and 3 * 3 * 4
  EXPECT_EQ(initializer("conv2d/kernel"), (std::pair{uniform, std::sqrt(6.0 / (27 + 36))}));
  depthwise_conv2d(x, {.depth_multiplier = 2});  // Keras's fans of a 3 x 3 x 3 x 2 kernel
  EXPECT_EQ(initializer("depthwise_conv2d/kernel"), (std::pair{uniform, std::sqrt(6.0 / (27 + 18))}));
  dense(flatten(x), {.units = 5});
  EXPECT_EQ(initializer("dense/kernel"), (std::pair{uniform, std::sqrt(6.0 / (75 + 5))}));
  EXPECT_EQ(initializer("dense/bias").second, 0);
  // Keras divides by what a unit normal that is cut off at two has for a deviation.
  const auto normal = static_cast<int64_t>(Initializer::Kind::normal);
  dense(flatten(x), {.units = 5, .kernel_initializer = he_normal(75)});
  EXPECT_EQ(initializer("dense_1/kernel"), (std::pair{normal, std::sqrt(2.0 / 75) / 0.87962566103423978}));
  dense(flatten(x), {.units = 5, .kernel_initializer = lecun_normal(75)});
  EXPECT_EQ(initializer("dense_2/kernel"), (std::pair{normal, std::sqrt(1.0 / 75) / 0.87962566103423978}));
}

TEST(Layers, EachDropoutDrawsItsOwnNumbers) {
  Graph g("layers");
  const Tensor x = g.input("x", {3});
  std::set<int64_t> streams;
  Tensor y = x;
  for (int i = 0; i < 3; ++i) {
    y = i == 1 ? alpha_dropout(y) : dropout(y);
    streams.insert(std::get<int64_t>(y.node().attributes.at("stream")));
  }
  EXPECT_EQ(streams, (std::set<int64_t>{0, 1, 2}));
}

TEST(Layers, DropoutVanishesInPrediction) {
  Graph g("layers");
  const Tensor x = g.input("x", {3});
  g.output("y", alpha_dropout(dropout(x, {.rate = 0.5}), {.rate = 0.5}));
  const Graph prediction = expand(g, false);
  EXPECT_EQ(prediction.nodes.size(), 1u) << "the input alone is left";
}

TEST(Layers, EveryOperatorIsDocumented) {
  std::string last;
  for (const Operator* op : all_operators()) {
    EXPECT_LT(last, op->name) << "the table is sorted";
    last = op->name;
    EXPECT_GT(std::string(op->documentation).size(), 10u) << op->name;
    EXPECT_FALSE(op->define != nullptr && op->expand != nullptr) << op->name << " is primitive or composite, not both";
    EXPECT_FALSE(op->expand != nullptr && op->gradient != nullptr) << op->name << ": a composite's gradient follows";
  }
}

}  // namespace
}  // namespace kiln
