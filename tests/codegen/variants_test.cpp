// One object for several processors.
#include <gtest/gtest.h>

#include "codegen/target.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "support/loaded_model.h"

namespace kiln {
namespace {

Graph network() {
  Graph g{"net"};
  Tensor x = g.input("image", {8, 8, 2});
  x = max_pool(batch_norm(relu(conv2d(x, {.filters = 6}))));
  const Tensor p = softmax(dense(flatten(x), {.units = 4}));
  const Tensor label = g.label("class", 4);
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, label), .optimizer = adam(), .batch = 20});
  return g;
}

std::vector<Model> variants(const std::string& targets) {
  std::vector<Model> result;
  for (const std::string& target : kernel_targets(targets)) {
    result.push_back(build_model(network()));
    result.back().target = target;
  }
  return result;
}

TEST(Variants, ShareStateAndHaveKernelsOfTheirOwn) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "the variants are for x86-64";
#endif
  const std::vector<Model> models = variants("sse41,host");
  if (models.size() < 2) GTEST_SKIP() << "this processor has no more than SSE 4.1";
  const LoadedModel loaded(models);
  const kiln_model &best = *loaded, &least = *best.next;
  EXPECT_EQ(best.target, kernel_target("host"));
  EXPECT_EQ(least.target, kernel_target("sse41"));
  EXPECT_EQ(least.next, nullptr);
  EXPECT_STREQ(best.fingerprint, least.fingerprint);
  ASSERT_EQ(best.parameter_count, least.parameter_count);
  for (int i = 0; i < best.parameter_count; ++i) {
    EXPECT_STREQ(best.parameters[i].name, least.parameters[i].name);
    EXPECT_EQ(best.parameters[i].offset, least.parameters[i].offset);
  }
  EXPECT_NE(best.train->step, least.train->step);
  for (const kiln_model* variant : {&best, &least}) {
    for (const char* name : {"train", "evaluate", "predict"}) {
      const auto run = [&](const Program& program, StepData& data) { run_step(*variant, program.name, data); };
      for (const Difference& difference : compare_with_reference(models[0], name, 17, 5, run)) {
        EXPECT_LE(difference.error, 1e-7) << variant->target << ' ' << name << ": " << difference.name;
      }
    }
  }
}

TEST(Variants, OfOneAreWhatTheyAlwaysWere) {
  const LoadedModel loaded(build_model(network()));
  EXPECT_EQ(loaded->next, nullptr);
}

TEST(Variants, SayOnceWhatTheyHaveInCommon) {
  std::vector<Model> models = variants("sse41,avx2");
  for (Model& model : models) model.svg = "<svg>one picture of the network</svg>";
  const std::string object = compile_object(models, {}).bytes;
  const size_t first = object.find(models[0].svg);
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(object.find(models[0].svg, first + 1), std::string::npos);
}

}  // namespace
}  // namespace kiln
