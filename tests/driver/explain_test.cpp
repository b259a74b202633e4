#include "driver/explain.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <regex>

#include "codegen/kernel_bitcode.h"
#include "codegen/schedule_requests.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "passes/cost.h"

namespace kiln {
namespace {

constexpr int kConvolution = __LINE__ + 4;
Model small_model() {
  Graph g{"small"};
  Tensor x = g.input("image", {6, 6, 4});
  x = relu(conv2d(x, {.filters = 8}));
  x = batch_norm(x);
  const Tensor p = softmax(dense(flatten(x), {.units = 3}));
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, g.label("class", 3)), .optimizer = rmsprop(), .batch = 16});
  return build_model(g);
}

const CompileOptions kSse{.target = "x86-64-linux-sse41", .threads = 2};

TEST(Explain, IsOnePageToTheLetter) {
  const Model model = small_model();
  const std::string page = explain(model, "conv2d.forward", kSse);
  const std::string expected =
      fmt::format(R"(train/conv2d.forward, kernel 1 of {count}

{file}
   {first} |   x = relu(conv2d(x, {{.filters = 8}}));
   {second} |   x = batch_norm(x);

Computes
  %3 contraction           Nx4x4x8        conv2d.forward, line {first}
      contraction with loops of its own
  %4 add                   Nx4x4x8        conv2d.forward, line {first}
      epilogue: works on the contraction's registers
  %5 relu                  Nx4x4x8        relu.forward, line {first}
      epilogue: works on the contraction's registers; stored: several kernels read it
  %17 reduce_sum           4x1x8          batch_norm.forward, line {second}
      sum within each row, joined: the row is in the cache when it has been made; stored
  %22 square               Nx4x4x8        batch_norm.forward, line {second}
      epilogue: works on the contraction's registers
  %23 reduce_sum           4x1x8          batch_norm.forward, line {second}
      sum within each row, joined: the row is in the cache when it has been made; stored

Reads
  %0 input                 Nx6x6x4              9,216 bytes at arena+0, written before the step, read last by conv2d.weight_gradient
  %1 conv2d/kernel         8x3x3x4              1,152 bytes at state+0, kept from step to step
  %2 conv2d/bias           8                       32 bytes at state+1152, kept from step to step
Writes
  %5 relu                  Nx4x4x8              8,192 bytes at arena+9216, written by conv2d.forward, read last by relu.gradient
  %17 reduce_sum           4x1x8                  128 bytes at arena+17408, written by conv2d.forward, read last by batch_norm.forward
  %23 reduce_sum           4x1x8                  128 bytes at arena+17536, written by conv2d.forward, read last by batch_norm.forward
)",
                  fmt::arg("count", model.programs[0].kernels.size()), fmt::arg("file", __FILE__),
                  fmt::arg("first", kConvolution), fmt::arg("second", kConvolution + 1));
  EXPECT_EQ(page.substr(0, page.find("\nLoops\n")), expected);
  const std::string key = schedule_key(model.programs[0], model.programs[0].kernels[0], kernel_target(kSse.target));
  EXPECT_NE(page.find("\nSchedule, @" + key + "; change it with --schedule train/conv2d.forward:<knob>=<value>\n"),
            std::string::npos)
      << page;
  EXPECT_EQ(
      page.substr(page.find("\nTime\n")),
      "\nTime\n"
      "  predicted        1.4 us on 2 threads: the longer of 0.158 MFLOP at 56 GFLOP/s and 0.019 MB at 24 GB/s a core\n"
      "  measured   not: the target is another machine's\n");
}

TEST(Explain, ShowsTheLoops) {
  const std::string page = explain(small_model(), "predict/dense.forward", kSse);
  EXPECT_EQ(page.substr(0, 30), "predict/dense.forward, kernel ");
  const std::string loops = page.substr(page.find("\nLoops\n"), page.find("\nSchedule, ") - page.find("\nLoops\n"));
  for (const char* part : {"  produce output:\n", "produce acc:\n", "vectorized ", "unrolled ", "acc(...) = ..."})
    EXPECT_NE(loops.find(part), std::string::npos) << part << loops;
}

TEST(Explain, SaysWhoChose) {
  const std::string target = kernel_target(kSse.target);
  const Model model =
      with_schedules(small_model(), {parse_schedule_request("conv2d.forward:tile=2", "--schedule")}, target);
  const std::string page = explain(model, "conv2d.forward", kSse);
  EXPECT_NE(page.find("  tile                 2            requested, by the rules 4; of 1..8\n"), std::string::npos)
      << page;
  EXPECT_NE(page.find("  recipe               rows         by the rules; of "), std::string::npos) << page;
}

TEST(Explain, GivesTheReasonsOfFusion) {
  const Model model = small_model();
  const std::string update = explain(model, "dense.weight_gradient", kSse);
  EXPECT_NE(update.find("epilogue: works on the contraction's registers; stored: a parameter's next value\n"),
            std::string::npos)
      << update;
  EXPECT_NE(update.find("kept from step to step"), std::string::npos);
}

TEST(Explain, MeasuresOnThisMachine) {
  const std::string page = explain(small_model(), "conv2d.forward", {.threads = 1});
  const std::regex times(
      "\nTime\n  predicted +[0-9.]+ us on 1 thread: the longer of 0\\.158 MFLOP at [0-9]+ GFLOP/s and 0\\.019 MB at 24 "
      "GB/s a core\n  measured +[0-9.]+ us, median, the program running around it: [0-9.]+ GFLOP/s, [0-9.]+ GB/s\n$");
  EXPECT_TRUE(std::regex_search(page, times)) << page;
}

void expect_unknown(const std::string& name, const std::string& message) {
  try {
    explain(small_model(), name, kSse);
    ADD_FAILURE() << "found " << name;
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), message.c_str());
  }
}

TEST(Explain, UnknownNamesGetTheNearest) {
  expect_unknown("conv2d.forwrd",
                 "--explain: there is no kernel 'conv2d.forwrd'; the nearest are conv2d.forward, dense.forward, "
                 "conv2d.update; --list-schedules shows them all");
  expect_unknown("predict/conv2d.gradient",
                 "--explain: there is no kernel 'predict/conv2d.gradient'; the nearest are train/conv2d.gradient, "
                 "train/conv2d.gradient_2, predict/conv2d.forward; --list-schedules shows them all");
}

TEST(Roofline, IsTheLongerOfComputingAndMoving) {
  const CoreLimits limits{.multiply_adds_per_cycle = 1, .cycles_per_second = 1e9, .bytes_per_second = 1e9};
  EXPECT_EQ(limits.flops_per_second(8), 16e9);
  EXPECT_EQ(roofline_seconds({.flops = 32e9, .bytes = 1e9}, 8, 1, limits), 2);
  EXPECT_EQ(roofline_seconds({.flops = 32e9, .bytes = 3e9}, 8, 1, limits), 3);
  EXPECT_EQ(roofline_seconds({.flops = 32e9, .bytes = 3e9}, 8, 2, limits), 1.5);
}

}  // namespace
}  // namespace kiln
