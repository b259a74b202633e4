#include "driver/picture.h"

#include <fmt/format.h>
#include <graphviz/gvc.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "driver/pipeline.h"
#include "driver/summary.h"
#include "dsl/graph.h"

namespace kiln {
namespace {

Model network() {
  Graph g{"net"};
  const Tensor x = relu(dense(g.input("x", {8}), {.units = 1500, .kernel_l2 = 1e-4}));
  const Tensor p = softmax(dense(x, {.units = 3}));
  g.output("p", p);
  const Tensor label = g.label("class", 3);
  g.metric("accuracy", categorical_accuracy(p, label));
  g.train({.loss = categorical_cross_entropy(p, label), .optimizer = sgd(), .batch = 16});
  return build_model(g);
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
  return found;
}

TEST(Picture, OfLayersHasEachOnceWithShapeAndWeights) {
  const std::string dot = network().dot;
  EXPECT_EQ(dot.substr(0, 15), "digraph \"net\" {");
  EXPECT_NE(dot.find("[label=\"dense (Dense)\\nNx1500\\n13,500 parameters\"]"), std::string::npos) << dot;
  EXPECT_NE(dot.find("[label=\"relu (ReLU)\\nNx1500\"]"), std::string::npos) << dot;
  EXPECT_EQ(count(dot, "[label="), 5U) << dot;  // the input, two dense layers, ReLU and softmax
  EXPECT_EQ(count(dot, " -> "), 4U) << dot;
  EXPECT_EQ(count(dot, "kernel"), 0U) << dot;
}

TEST(Picture, OfTheGradientHasItsStagesInColoursAndUpdatesAsDashes) {
  const std::string dot = network().gradient_dot;
  EXPECT_EQ(dot.substr(0, 24), "digraph \"net gradient\" {");
  EXPECT_NE(dot.find("label=\"dense\"; color="), std::string::npos);
  EXPECT_NE(dot.find("label=\"dense/kernel\\n1500x8\""), std::string::npos) << dot;
  for (const char* colour : {"#e3f0fb", "#fde8e8", "#e5f5e5", "#fff1dc"}) EXPECT_GT(count(dot, colour), 0U) << colour;
  EXPECT_EQ(count(dot, "[style=dashed"), 4U);  // two weights and two biases
}

TEST(Summary, AWeightThatTwoLayersReadCountsOnce) {
  Graph g{"tied"};
  const Tensor weight = g.parameter("weight", {5}, ones(), true), x = g.input("x", {5});
  g.output("y", relu(x * weight) * weight + g.parameter("still", {5}, zeros(), false));
  const std::vector<LayerRow> rows = layer_rows(g);
  std::map<std::string, int64_t> parameters;
  for (const LayerRow& row : rows) parameters[row.name] = row.parameters;
  EXPECT_EQ(parameters, (std::map<std::string, int64_t>{
                            {"input", 0}, {"multiply", 5}, {"relu", 0}, {"multiply_1", 0}, {"add", 5}}));
  const std::string table = summary_table(g);
  EXPECT_NE(table.find(" Total params: 10 (40.00 B)\n Trainable params: 5 (20.00 B)\n"), std::string::npos) << table;
}

class Rendering : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "kiln-picture-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(Rendering, APictureIsTakenFromTheCacheWhereItIs) {
  const std::string dot = "digraph g { a -> b }";
  const CompileCache cache(folder_.string(), "test");
  const std::string svg = render_svg(dot, cache);
  EXPECT_NE(svg.find("<svg"), std::string::npos);
  GVC_t* context = gvContext();
  const std::string source = fmt::format("svg by Graphviz {}\n{}", gvcVersion(context), dot);
  gvFreeContext(context);
  EXPECT_EQ(cache.find(source), svg);
  cache.store(source, "kept");
  EXPECT_EQ(render_svg(dot, cache), "kept");
  EXPECT_EQ(render_svg(dot, CompileCache()), svg);
}

TEST_F(Rendering, WhatIsNoGraphIsAnErrorAndNotKept) {
  const CompileCache cache(folder_.string(), "test");
  testing::internal::CaptureStderr();  // Graphviz says where
  EXPECT_THROW(render_svg("digraph g { a -> ", cache), std::runtime_error);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("syntax error"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace kiln
