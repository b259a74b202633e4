// What a build checks before it puts its object in place.
#include "tune/self_check.h"

#include <gtest/gtest.h>

#include "codegen/target.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"

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
  expect_refused(models(1), models(0.5), fmt::format("{}:16: kernel conv2d.forward of train, compiled for ", __FILE__));
}

TEST(SelfCheck, RefusesAnOptimizerThatComputesSomethingElse) {
  expect_refused(models(1), models(1, "host", rmsprop({.rho = 0.8})), " of train, compiled for ");
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
