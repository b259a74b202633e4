// What a build checks before it puts its object in place.
#include "tune/self_check.h"

#include <gtest/gtest.h>

#include "codegen/kernel_bitcode.h"
#include "codegen/target.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "processor.h"

namespace kiln {
namespace {

Graph network(double alpha, Optimizer optimizer) {
  Graph g{"checked"};
  Tensor x = g.input("image", {9, 7, 3});
  x = max_pool(batch_norm(elu(conv2d(x, {.filters = 5}), {.alpha = alpha})));
  x = dropout(relu(dense(flatten(x), {.units = 33, .kernel_l2 = 0.01})), {.rate = 0.25});
  const Tensor p = softmax(dense(x, {.units = 4}));
  const Tensor label = g.label("class", 4);
  g.output("probability", p);
  g.metric("accuracy", categorical_accuracy(p, label));
  g.train({.loss = categorical_cross_entropy(p, label), .optimizer = std::move(optimizer), .batch = 20});
  return g;
}

std::vector<Model> models(double alpha, const std::string& targets = "host", Optimizer optimizer = rmsprop()) {
  std::vector<Model> result;
  for (const std::string& target : kernel_targets(targets)) {
    result.push_back(build_model(network(alpha, optimizer)));
    result.back().target = target;
  }
  return result;
}

TEST(SelfCheck, AcceptsWhatIsRight) {
  const std::vector<Model> right = models(1);
  const ObjectCheck check = check_object(right, compile_object(right, {}).bytes);
  size_t kernels = 0;
  for (const Program& program : right[0].programs) kernels += program.kernels.size();
  EXPECT_EQ(check.kernels, kernels);
  EXPECT_TRUE(check.unchecked.empty());
}

TEST(SelfCheck, LeavesOutWhatF32HasNoRoomForOnItsRandomInputs) {
  Graph g{"overflows"};
  const Tensor e = exp(200.0 * g.input("x", {40}));  // beyond f32 from 0.44 on
  g.output("p", e / (1.0 + e));
  std::vector<Model> model = {build_model(g)};
  model[0].target = kernel_target("host");
  EXPECT_GT(check_object(model, compile_object(model, {}).bytes).kernels, 0U);
}

void expect_refused(const std::vector<Model>& wanted, const std::vector<Model>& compiled, const std::string& message) {
  try {
    check_object(wanted, compile_object(compiled, {}).bytes);
    ADD_FAILURE() << "accepted; expected: " << message;
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

TEST(SelfCheck, RefusesAKernelThatComputesSomethingElse) {
  // The same kernels and buffers, but an elu with another slope: as if the compiler had got it wrong.
  expect_refused(models(1), models(0.5), fmt::format("{}:18: kernel conv2d.forward of train, compiled for ", __FILE__));
}

TEST(SelfCheck, RefusesAnOptimizerThatComputesSomethingElse) {
  expect_refused(models(1), models(1, "host", rmsprop({.rho = 0.8})), " of train, compiled for ");
}

/// The same buffers, and another last layer that only predictions see.
Model predictor(double alpha, const std::string& target) {
  Graph g{"checked"};
  const Tensor p = softmax(dense(g.input("x", {6}), {.units = 4}));
  g.output("sure", elu(p - 0.5, {.alpha = alpha}));
  g.train({.loss = categorical_cross_entropy(p, g.label("class", 4)), .optimizer = sgd(), .batch = 20});
  Model model = build_model(g);
  model.target = target;
  return model;
}

TEST(SelfCheck, LooksAtEveryProgramAndVariant) {
  const std::vector<std::string> targets = kernel_targets("sse41,host");
  ASSERT_EQ(targets.size(), 2U);
  expect_refused({predictor(1, targets[0])}, {predictor(0.5, targets[0])}, " of predict, compiled for " + targets[0]);
  const std::vector<Model> right = {predictor(1, targets[0]), predictor(1, targets[1])};
  expect_refused(right, {predictor(1, targets[0]), predictor(0.5, targets[1])}, " compiled for " + targets[1]);
}

TEST(SelfCheck, RefusesWhatIsNotFinite) {
  const auto model = [](bool negative) {
    Graph g{"finite"};
    const Tensor x = g.input("x", {40});
    g.output("p", negative ? sqrt(x - 2.0) : 0.0 * x);
    std::vector<Model> models = {build_model(g)};
    models[0].target = kernel_target("host");
    return models;
  };
  expect_refused(model(false), model(true), " instead of 0; ");
}

// Its reference rounds what the kernels round, bf16 weights of single rows included.
TEST(SelfCheck, AcceptsMixedPrecisionThatIsRight) {
  if (!processor_has("avx512_zen4")) GTEST_SKIP() << "NOT TESTED: this processor has no bf16";
  Graph g{"mixed"};
  Tensor x = relu(conv2d(g.input("image", {10, 10, 4}), {.filters = 16}));
  x = relu(dense(flatten(x), {.units = 1024}));
  const Tensor p = softmax(dense(x, {.units = 10}));
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, g.label("class", 10)),
           .optimizer = sgd(),
           .batch = 16,
           .precision = Precision::mixed});
  std::vector<Model> models = {build_model(g)};
  models[0].target = kernel_targets("host").front();
  size_t rounded = 0;
  for (const Program& program : models[0].programs) {
    for (const Kernel& kernel : program.kernels) {
      for (const Knob& knob : kernel_knobs(program, kernel, models[0].target))
        rounded += knob.name == "products" && knob.value == "bf16";
    }
  }
  EXPECT_GT(rounded, 5U);
  const std::string object = compile_object(models, {}).bytes;
  EXPECT_GT(check_object(models, object).kernels, 0U);
  // An unrounded reference is another one.
  for (Program& program : models[0].programs) program.precision = Precision::f32;
  EXPECT_THROW(check_object(models, object), InternalError);
}

TEST(SelfCheck, DoesNotRunWhatCallsASanitizer) {
  const std::vector<Model> instrumented = models(1, "host-asan");
  const ObjectCheck check = check_object(instrumented, compile_object(instrumented, {}).bytes);
  EXPECT_EQ(check.kernels, 0U);
  EXPECT_EQ(check.unchecked, std::vector<std::string>{instrumented[0].target});
}

TEST(SelfCheck, SaysWhatItCannotRun) {
  const std::vector<Model> foreign = models(1, "arm64");
  const ObjectCheck check = check_object(foreign, compile_object(foreign, {}).bytes);
#if defined(__x86_64__)
  EXPECT_EQ(check.kernels, 0U);
  EXPECT_EQ(check.unchecked, std::vector<std::string>{foreign[0].target});
#endif
}

}  // namespace
}  // namespace kiln
