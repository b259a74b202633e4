#include "tune/tuner.h"

#include <gtest/gtest.h>

#include "codegen/kernel_bitcode.h"
#include "codegen/schedule_requests.h"
#include "driver/pipeline.h"
#include "driver/schedules.h"
#include "dsl/graph.h"
#include "ir/error.h"

namespace kiln {
namespace {

Model network() {
  Graph g{"network"};
  Tensor x = relu(conv2d(g.input("image", {12, 12, 16}), {.filters = 16, .padding = Padding::same()}));
  const Tensor p = softmax(dense(flatten(x), {.units = 64}));
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, g.label("class", 64)), .optimizer = sgd(), .batch = 16});
  return build_model(g);
}

/// What is set badly on purpose: one result at a time.
Model badly_scheduled() {
  const std::string target = kernel_target("host");
  return with_schedules(network(),
                        {parse_schedule_request("train/conv2d.forward:recipe=rows,vectors=1,tile=1", "test")}, target);
}

TEST(Tuner, MendsABadScheduleAndItsFileDoesTheSame) {
  const Model model = badly_scheduled();
  const std::string target = kernel_target("host");
  TuneOptions options;
  options.seconds = 1000;
  options.threads = 1;
  // Enough rounds for a better tile to be found, by rounds and not by time.
  int rounds = 0;
  options.progress = [&](const std::vector<TunedKernel>&, double) { ++rounds; };
  options.stop = [&] { return rounds >= 3; };
  const TuneResult result = autotune(model, options);
  ASSERT_FALSE(result.kernels.empty());
  EXPECT_LT(result.tuned_median, result.standard_median);
  const auto found = std::find_if(result.kernels.begin(), result.kernels.end(),
                                  [](const TunedKernel& kernel) { return kernel.name == "conv2d.forward"; });
  ASSERT_NE(found, result.kernels.end());
  EXPECT_LT(found->best, found->standard);

  // A later build finds the tuned schedule under the kernel's key.
  std::vector<ScheduleRequest> requests;
  std::istringstream lines(with_tuned("", result.kernels));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("#")) requests.push_back(parse_schedule_request(line.substr(0, line.find("  #")), "file"));
  }
  const Model later = with_schedules(network(), requests, target);
  for (const Kernel& kernel : later.programs.front().kernels) {
    if (kernel.name != "conv2d.forward") continue;
    EXPECT_EQ(to_string(kernel_knobs(later.programs.front(), kernel, target)), to_string(found->knobs));
  }
}

TEST(Tuner, StopsAtOnceWhenAsked) {
  TuneOptions options;
  options.seconds = 1000;
  options.threads = 1;
  options.stop = [] { return true; };
  EXPECT_TRUE(autotune(network(), options).kernels.empty());
}

// On the bench's random inputs this overflows, as a user's own data need not: that is no error of a schedule.
TEST(Tuner, LeavesOutWhatCannotBeCompared) {
  Graph g{"overflows"};
  const Tensor e = exp(200.0 * g.input("x", {64, 64}));
  g.output("p", e / (1.0 + e));
  TuneOptions options;
  options.seconds = 1000;
  options.threads = 1;
  int rounds = 0;
  options.progress = [&](const std::vector<TunedKernel>& kernels, double) {
    ++rounds;
    for (const TunedKernel& kernel : kernels) EXPECT_EQ(kernel.best, kernel.standard) << kernel.name;
  };
  options.stop = [&] { return rounds >= 2; };
  EXPECT_TRUE(autotune(build_model(g), options).kernels.empty());
  EXPECT_GE(rounds, 1);
}

TEST(TunedFile, OwnLinesStayAndTunedOnesAreReplaced) {
  TunedKernel kernel;
  kernel.program = "train";
  kernel.name = "conv2d.forward";
  kernel.key = "0123456789ab";
  kernel.knobs = {{"recipe", {"rows"}, "rows", "rows"}, {"tile", {"1", "2"}, "1", "2"}};
  kernel.standard = 20e-6;
  kernel.best = 10e-6;
  EXPECT_EQ(
      with_tuned("# mine\ndense.forward: tile=4\n@0123456789ab: recipe=rows tile=1\n@ffffffffffff: tile=3\n", {kernel}),
      "# mine\ndense.forward: tile=4\n@ffffffffffff: tile=3\n"
      "@0123456789ab: recipe=rows tile=2  # train/conv2d.forward, 10 us; by the rules 20 us\n");
}

}  // namespace
}  // namespace kiln
