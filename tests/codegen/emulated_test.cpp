// Programs compiled for other processors, run there (by qemu) against the f64 reference.
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "support/emulated_model.h"

namespace kiln {
namespace {

// As in program_test.cpp: rounding of f32, in sums of some thousand terms, squared. Every processor gets the same
// bound.
constexpr double kTolerance = 1e-7;

void finish(Graph& g, Tensor x, Optimizer optimizer) {
  const Tensor p = softmax(dense(x, {.units = 5}));
  const Tensor label = g.label("class", 5);
  g.output("probability", p);
  g.metric("accuracy", categorical_accuracy(p, label));
  g.train({.loss = categorical_cross_entropy(p, label), .optimizer = std::move(optimizer), .batch = 24});
}

/// Every recipe: convolutions 3x3 (by Winograd), 2x2, strided and depthwise, batch statistics, pooling, dense layers.
Graph convolutions() {
  Graph g{"convolutions"};
  Tensor x = g.input("image", {8, 8, 2});
  x = batch_norm(relu(conv2d(x, {.filters = 16, .padding = Padding::same()})), {.axis = 1});
  x = batch_norm(relu(conv2d(x, {.filters = 32, .padding = Padding::same()})));
  x = tanh(conv2d(max_pool(x), {.filters = 8, .kernel = {2, 2}}));
  x = elu(conv2d(x, {.filters = 6, .strides = {2, 2}, .padding = Padding::same()}));
  x = sigmoid(depthwise_conv2d(x, {.kernel = {2, 2}}));
  finish(g, flatten(x), rmsprop());
  return g;
}

Graph layers() {
  Graph g{"layers"};
  const Tensor x = g.input("features", {20});
  finish(g, dropout(relu(dense(x, {.units = 48})), {.rate = 0.25}), adam());
  return g;
}

StepData copy(const StepData& data) {
  StepData result{AlignedBytes(data.arena.size()), AlignedBytes(data.state.size()), data.scalars, {}};
  std::memcpy(result.arena.data(), data.arena.data(), data.arena.size());
  std::memcpy(result.state.data(), data.state.data(), data.state.size());
  return result;
}

bool same_bits(const StepData& a, const StepData& b) {
  return std::memcmp(a.arena.data(), b.arena.data(), a.arena.size()) == 0 &&
         std::memcmp(a.state.data(), b.state.data(), a.state.size()) == 0;
}

class Emulated : public testing::TestWithParam<EmulatedProcessor> {
 protected:
  void SetUp() override {
    if (const std::string missing = missing_for(GetParam()); !missing.empty()) GTEST_SKIP() << missing;
  }
};

TEST_P(Emulated, EqualsTheReferenceWithTheSameBitsForAnyNumberOfThreads) {
  for (const Graph& graph : {convolutions(), layers()}) {
    const Model model = build_model(graph);
    const EmulatedModel emulated(compile_object(model, {.target = GetParam().target}).bytes, model.name, GetParam());
    for (const char* name : {"train", "predict"}) {
      const auto run = [&](const Program& program, StepData& data) {
        StepData threaded = copy(data);
        ASSERT_EQ(emulated.run(program.name, data, 0), 0);
        ASSERT_EQ(emulated.run(program.name, threaded, 3), 0);
        EXPECT_TRUE(same_bits(data, threaded)) << program.name << " with 3 threads";
      };
      for (const Difference& difference : compare_with_reference(model, name, 21, 7, run)) {
        EXPECT_LE(difference.error, kTolerance) << model.name << ' ' << name << ": " << difference.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Processors, Emulated, testing::Values(kHaswell, kCortexA72),
                         [](const auto& info) { return std::string(info.param.target); });

// What the test above relies on: the emulator does not run what the processor would not.
TEST(Emulator, StopsAtAnInstructionThatTheProcessorLacks) {
  if (const std::string missing = missing_for(kHaswell); !missing.empty()) GTEST_SKIP() << missing;
  const Model model = build_model(layers());
  const EmulatedModel emulated(compile_object(model, {.target = "avx512"}).bytes, model.name, kHaswell);
  StepData data = random_step(model, program_named(model, "predict"), 24, 7);
  EXPECT_EQ(emulated.run("predict", data, 1), 128 + SIGILL);
}

}  // namespace
}  // namespace kiln
