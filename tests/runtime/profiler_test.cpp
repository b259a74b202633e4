// What the profiler says about hand-written kernels, and that the bits of a run do not notice it.
#include "profiler.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "allocation_counter.h"
#include "fake_model.h"
#include "text_predicates.h"
#include "trainer.h"

namespace kiln {
namespace {

TrainingOptions options() {
  TrainingOptions result;
  result.epochs = 2;
  result.average = 0.9;
  return result;
}

TEST(Profiler, LeavesTheBitsAsTheyAre) {
  const Dataset dataset = learnable_rows(small_model(), 100);
  std::vector<uint8_t> weights[2], optimizer[2], average[2];
  for (const int profiled : {0, 1}) {
    Context context(2);
    Trainer trainer(small_model(), context, options(), dataset);
    Profiler profiler(*small_model().train, 2, true);
    if (profiled) trainer.profile(&profiler);
    while (!trainer.done()) trainer.run_epoch([] { return true; });
    EXPECT_EQ(profiler.steps(), profiled ? 34 : 0);
    const Checkpoint state = trainer.checkpoint();
    weights[profiled] = state.weights;
    optimizer[profiled] = state.optimizer;
    average[profiled] = state.average;
  }
  EXPECT_EQ(weights[0], weights[1]);
  EXPECT_EQ(optimizer[0], optimizer[1]);
  EXPECT_EQ(average[0], average[1]);
}

TEST(Profiler, TracesTheFirstSteps) {
  const Dataset dataset = learnable_rows(small_model(), 100);
  Context context(2);
  Trainer trainer(small_model(), context, options(), dataset);
  const Profiler::Clock::time_point begin = Profiler::Clock::now();
  Profiler profiler(*small_model().train, 2, true, begin);
  trainer.profile(&profiler);
  trainer.run_epoch([] { return true; });
  const double microseconds = std::chrono::duration<double, std::micro>(Profiler::Clock::now() - begin).count();
  const nlohmann::json trace = nlohmann::json::parse(profiler.trace());
  std::map<std::string, int> kinds;
  for (const nlohmann::json& event : trace["traceEvents"]) {
    if (event["ph"] == "M") continue;
    EXPECT_EQ(event["ph"], "X");
    ++kinds[event["cat"]];
    EXPECT_GE(event["ts"], 0);
    EXPECT_GE(event["dur"], 0);
    EXPECT_LE(event["ts"].get<double>() + event["dur"].get<double>(), microseconds);
    if (event["cat"] == "kernel") {
      EXPECT_EQ(event["name"], "train");
      EXPECT_EQ(event["args"]["line"], "fake_model.cpp:1");
      EXPECT_EQ(event["args"]["step"], kinds["kernel"]);
    }
  }
  // Ten steps: before the one kernel a batch is loaded, after it weights are averaged, but after the tenth tracing is
  // over.
  EXPECT_EQ(kinds["kernel"], 10);
  EXPECT_EQ(kinds["phase"], 10 + 9);
  EXPECT_EQ(trace["otherData"]["steps"], 10);
}

TEST(Profiler, AllocatesNothingInAStep) {
  const Dataset dataset = learnable_rows(small_model(), 100);
  Context context(2);
  Trainer trainer(small_model(), context, options(), dataset);
  Profiler profiler(*small_model().train, 2, true);
  trainer.profile(&profiler);
  int64_t before = 0;
  trainer.run_epoch([&] {
    // The first reads when the process began.
    if (trainer.step() > 1) {
      EXPECT_EQ(allocation_count(), before) << "step " << trainer.step();
    }
    before = allocation_count();
    return true;
  });
}

// Numbers that can be checked by hand.
Profile two_kernels() {
  Profile profile;
  profile.program = "train";
  profile.threads = 2;
  profile.batch = 64;
  profile.steps = 7;
  profile.roofline = {.flops = 100e9, .bytes = 10e9};
  profile.step_seconds = 4.5e-3;
  profile.first_step_seconds = 0.25;
  profile.kernels = {{"conv2d.forward", "graphs/a.cpp:3", "recipe=rows tile=6", 3e-3, 150e6, 3e6},
                     {"add", "graphs/a.cpp:4", "recipe=element-wise", 1e-3, 2e6, 5e6}};
  profile.phases = {{"load batch", 20e-6}};
  return profile;
}

TEST(Profile, TableSaysWhichRoofBinds) {
  const std::string table = profile_table(two_kernels());
  // 150e6 operations take 1.5 ms of the 3, 5e6 bytes 0.5 ms of the 1.
  for (const char* line :
       {"Kernels of the program train, batch 64, 2 threads: medians of 7 steps\n",
        "conv2d.forward     3000.0  75.0%     50.0     1.0       50%  compute  graphs/a.cpp:3\n",
        "add                1000.0  25.0%      2.0     5.0       50%  memory   graphs/a.cpp:4\n",
        "total              4000.0 100.0%     38.0     2.0       50%  2 kernels\n",
        "whole step 4500.0 us; beside it: load batch 20.0 us; the first step ended 0.25 s after the process began\n"}) {
    EXPECT_PRED2(contains, table, line);
  }
  EXPECT_EQ(profile_table(Profile{}), "Profile: no step was run\n");
}

TEST(Profile, JsonHasTheSameNumbers) {
  const nlohmann::ordered_json json = profile_json(two_kernels());
  EXPECT_EQ(json["steps"], 7);
  EXPECT_DOUBLE_EQ(json["kernel_seconds"].get<double>(), 4e-3);
  EXPECT_EQ(json["phases"]["load batch"], 20e-6);
  ASSERT_EQ(json["kernels"].size(), 2U);
  EXPECT_EQ(json["kernels"][1]["name"], "add");
  EXPECT_EQ(json["kernels"][1]["line"], "graphs/a.cpp:4");
  EXPECT_EQ(json["kernels"][1]["schedule"], "recipe=element-wise");
  EXPECT_EQ(json["kernels"][1]["bound"], "memory");
  EXPECT_DOUBLE_EQ(json["kernels"][0]["roofline_percent"].get<double>(), 50);
  EXPECT_DOUBLE_EQ(json["kernels"][0]["flops_per_second"].get<double>(), 50e9);
  EXPECT_DOUBLE_EQ(json["kernels"][0]["share"].get<double>(), 0.75);
}

TEST(Roofline, TheSlowerOfArithmeticAndMemoryBinds) {
  const Roofline roofline = {.flops = 100, .bytes = 10};
  EXPECT_EQ(roofline.seconds(200, 10), 2);
  EXPECT_EQ(roofline.seconds(200, 30), 3);
  EXPECT_FALSE(roofline.bound_by_memory(200, 10));
  EXPECT_TRUE(roofline.bound_by_memory(200, 30));
}

TEST(Roofline, IsMeasured) {
  ThreadPool pool(2);
  const Roofline measured = measure_roofline(pool, 1 << 20);
  EXPECT_GT(measured.flops, 0);
  EXPECT_GT(measured.bytes, 0);
}

}  // namespace
}  // namespace kiln
