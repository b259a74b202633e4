// Values and gradients against an outside implementation (tests/fixtures/make_fixtures.py: PyTorch, NumPy), in f64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "ops/evaluation.h"
#include "ops/fixture_calls.h"
#include "ops/input.h"
#include "ops/parameter.h"
#include "ops/to_real.h"

namespace kiln::testing {
namespace {

using nlohmann::json;

// The formulas are the same and both sides compute in f64; they differ in the order of sums and in the last bits of
// exp, log and erf. The absolute part is for what cancels: 1 - sigmoid(30) has an error of 1e-16 beside 1e-13.
constexpr double kRelative = 1e-9, kAbsolute = 1e-12;

std::string fixture_path(const std::string& op) {
  return std::string(KILN_SOURCE_DIR) + "/tests/fixtures/" + op + ".json";
}

/// The part of a node's name that a fixture uses: "kernel" of "conv2d/kernel".
std::string short_name(const std::string& name) { return name.substr(name.rfind('/') + 1); }

void expect_close(const Values& found, const json& expected, const std::string& what) {
  const Values values = expected.at("values").get<Values>();
  ASSERT_GE(found.size(), values.size()) << what;  // rows beyond the count follow, which mean nothing
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(found[i], values[i], kAbsolute + kRelative * std::abs(values[i])) << what << "[" << i << "]";
  }
}

void check(const std::string& op, const json& test) {
  Graph graph("fixture");
  Tensor y = fixture_calls().at(op)({graph, test.at("attributes"), test.at("inputs")});
  if (y.node().type.element == ElementType::bf16) y = to_real(y);
  graph.output("y", y);
  std::vector<std::string> wanted;
  for (const Node& node : graph.nodes) {
    if (node.op != &input_operator && node.op != &parameter_operator) continue;
    const auto& name = std::get<std::string>(node.attributes.at("name"));
    if (test.contains("gradients") && test["gradients"].contains(short_name(name))) wanted.push_back(name);
  }
  ASSERT_EQ(wanted.size(), test.contains("gradients") ? test["gradients"].size() : 0);

  const int64_t batch = test.at("batch"), count = test.at("count");
  const Evaluation evaluation(graph, batch, test.at("training"), wanted);
  std::map<NodeId, Values> values;
  for (const auto& [name, id] : evaluation.sources()) {
    values[id] = test.at("inputs").at(short_name(name)).at("values").get<Values>();
  }
  const Shape& shape = evaluation.output_type().shape;
  Values& cotangent = values[evaluation.cotangent_id()];
  if (test.contains("cotangent")) cotangent = test["cotangent"].at("values").get<Values>();
  cotangent.resize(element_count(shape, batch), 1);
  const Evaluation::Result result = evaluation.run(values, {.count = count, .seed = 7, .step = 3});

  Shape expected = test.at("output").at("shape");
  ASSERT_EQ(with_batch(shape, count), expected) << to_string(shape);
  expect_close(result.output, test.at("output"), "output");
  for (size_t i = 0; i < evaluation.differentiable().size(); ++i) {
    const std::string name = short_name(evaluation.differentiable()[i]);
    const json& gradient = test.at("gradients").at(name);
    ASSERT_EQ(result.gradients[i].size(), gradient.at("values").size()) << name;
    expect_close(result.gradients[i], gradient, "gradient of " + name);
  }
  for (const std::string& name : evaluation.constant()) {
    for (const double value : test.at("gradients").at(short_name(name)).at("values")) {
      ASSERT_EQ(value, 0) << name << " has a gradient outside";
    }
  }
  const auto& updates = evaluation.graph().updates;
  ASSERT_EQ(updates.size(), test.contains("updates") ? test["updates"].size() : 0);
  for (size_t i = 0; i < updates.size(); ++i) {
    const Node& node = evaluation.graph().node(updates[i].parameter);
    const std::string name = short_name(std::get<std::string>(node.attributes.at("name")));
    expect_close(result.updates[i], test["updates"].at(name), "update of " + name);
  }
}

class FixtureTest : public ::testing::TestWithParam<const Operator*> {};

TEST_P(FixtureTest, EqualsTheOutsideValues) {
  const std::string op = GetParam()->name;
  // What no outside implementation has: sources, and the parts that others are made of and tested through.
  const std::set<std::string> none = {
      "input", "parameter", "scalar", "constant", "max_pool_gradient", "average_pool_gradient", "index_of"};
  if (none.count(op) > 0) return;
  std::ifstream file(fixture_path(op));
  ASSERT_TRUE(file.good()) << op << " has no outside values: add cases to tests/fixtures/make_fixtures.py";
  ASSERT_EQ(fixture_calls().count(op), 1u) << op << " has no call in tests/ops/fixture_calls.cpp";
  const json cases = json::parse(file).at("cases");
  ASSERT_FALSE(cases.empty());
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(fmt::format("{}.json, case {}, attributes {}", op, i, cases[i].at("attributes").dump()));
    check(op, cases[i]);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, FixtureTest, ::testing::ValuesIn(all_operators().begin(), all_operators().end()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace kiln::testing
