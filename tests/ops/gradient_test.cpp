// Every operator's gradient against central finite differences in f64, over the samples of its record. There is no list
// of operators here: a new one is tested because it exists.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/evaluation.h"
#include "ops/input.h"
#include "ops/parameter.h"

namespace kiln::testing {
namespace {

constexpr int64_t kRows = 3;
constexpr double kStep = 1e-6;
// A central difference in f64 has an error of about kStep^2 * f''' plus 1e-16 / kStep * f; both are far below.
constexpr double kAbsolute = 1e-5, kRelative = 1e-3;

class GradientTest : public ::testing::TestWithParam<const Operator*> {};

Graph graph_of(const Sample& sample) {
  Graph graph("sample");
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    const std::string name = fmt::format("x{}", i);
    const Shape& shape = sample.inputs[i];
    inputs.push_back(has_batch(shape) ? input(graph, name, {shape, ElementType::real}, Location::here())
                                      : parameter(graph, name, shape, zeros(), true, Location::here()));
  }
  graph.output("y", sample.build(inputs));
  return graph;
}

void check(const Sample& sample, const Operator& op) {
  const Graph graph = graph_of(sample);
  const Evaluation evaluation(graph, kRows, true);
  const auto elements = [&](NodeId id) {
    return static_cast<size_t>(element_count(evaluation.graph().node(id).type.shape, kRows));
  };
  std::map<NodeId, Values> values;
  uint32_t seed = 1;
  for (const auto& [name, id] : evaluation.sources()) {
    const bool own = name.find('/') != std::string::npos;  // a weight of the operator's, which has no range of its own
    values[id] = random_values(elements(id), own ? 0.3 : sample.low, own ? 1.1 : sample.high, seed++);
  }
  values[evaluation.cotangent_id()] = random_values(elements(evaluation.cotangent_id()), 0.5, 1.5, seed++);

  for (const int64_t count : {kRows, kRows - 1}) {
    const ReferenceOptions options = {.count = count, .seed = 7, .step = 3};
    const Evaluation::Result result = evaluation.run(values, options);
    ASSERT_EQ(result.output.size(), static_cast<size_t>(element_count(evaluation.output_type().shape, kRows)));
    const auto difference = [&](NodeId id, size_t element) {
      const double kept = values[id][element];
      values[id][element] = kept + kStep;
      const double above = evaluation.run(values, options).objective;
      values[id][element] = kept - kStep;
      const double below = evaluation.run(values, options).objective;
      values[id][element] = kept;
      return (above - below) / (2 * kStep);
    };
    for (size_t i = 0; i < evaluation.differentiable().size(); ++i) {
      const std::string& name = evaluation.differentiable()[i];
      const NodeId id = evaluation.sources().at(name);
      const Values& gradient = result.gradients[i];
      ASSERT_EQ(gradient.size(), elements(id)) << op.name << " " << name;
      double largest = 0;
      for (size_t element = 0; element < gradient.size(); ++element) {
        const double expected = difference(id, element);
        ASSERT_NEAR(gradient[element], expected, kAbsolute + kRelative * std::abs(expected))
            << op.name << ": gradient of " << name << "[" << element << "], shape "
            << to_string(evaluation.graph().node(id).type.shape) << ", " << count << " of " << kRows << " rows";
        largest = std::max(largest, std::abs(expected));
      }
      EXPECT_GT(largest, 1e-3) << op.name << ": the gradient of " << name << " is zero everywhere; change the sample";
    }
    // Where no gradient flows, the value must not depend on the input by small steps: metrics, labels.
    for (const std::string& name : evaluation.constant()) {
      const NodeId id = evaluation.sources().at(name);
      for (size_t element = 0; element < elements(id); ++element) {
        ASSERT_EQ(difference(id, element), 0) << op.name << " has no gradient for " << name << " but depends on it";
      }
    }
  }
}

TEST_P(GradientTest, IsTheFiniteDifference) {
  const Operator& op = *GetParam();
  if (op.samples == nullptr) {
    ASSERT_TRUE(op.expand == nullptr && op.gradient == nullptr) << op.name << " needs samples for its gradient check";
    return;
  }
  const std::vector<Sample> samples = op.samples();
  ASSERT_FALSE(samples.empty()) << op.name;
  for (const Sample& sample : samples) {
    check(sample, op);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, GradientTest, ::testing::ValuesIn(all_operators().begin(), all_operators().end()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace kiln::testing
