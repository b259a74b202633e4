#include "codegen/schedule_requests.h"

#include <gtest/gtest.h>

#include <fstream>

#include "codegen/kernel_bitcode.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "ir/error.h"

namespace kiln {
namespace {

Graph network() {
  Graph g{"network"};
  Tensor x = relu(conv2d(g.input("image", {8, 8, 16}), {.filters = 16, .padding = Padding::same()}));
  const Tensor p = softmax(dense(flatten(x), {.units = 4}));
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, g.label("class", 4)), .optimizer = sgd(), .batch = 16});
  return g;
}

std::string message(const std::function<void()>& work) {
  try {
    work();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

const Kernel& kernel_of(const Model& model, const std::string& program_name, const std::string& name) {
  for (const Program& program : model.programs) {
    for (const Kernel& kernel : program.kernels) {
      if (program.name == program_name && kernel.name == name) return kernel;
    }
  }
  throw InternalError("no kernel " + name);
}

TEST(ScheduleRequests, CommasAndSpacesPartTheKnobs) {
  const ScheduleRequest a = parse_schedule_request("conv2d.forward:recipe=rows,tile=4", "--schedule");
  const ScheduleRequest b = parse_schedule_request(" conv2d.forward : recipe=rows  tile=4 ", "--schedule");
  EXPECT_EQ(a.kernel, "conv2d.forward");
  EXPECT_EQ(a.knobs, (KernelSchedule{{"recipe", "rows"}, {"tile", "4"}}));
  EXPECT_EQ(a.kernel, b.kernel);
  EXPECT_EQ(a.knobs, b.knobs);
}

TEST(ScheduleRequests, WhatIsNoneIsSaidToTheLetter) {
  EXPECT_EQ(message([] { parse_schedule_request("tile=4", "--schedule"); }),
            "--schedule: 'tile=4' names no kernel; write kernel:knob=value,knob=value, such as "
            "conv2d_1.forward:recipe=winograd,tile=6");
  EXPECT_EQ(message([] { parse_schedule_request("dense.forward:tile", "d.schedule:3"); }),
            "d.schedule:3: 'tile' is no knob=value");
  EXPECT_EQ(message([] { parse_schedule_request("dense.forward:tile=1,tile=2", "d.schedule:3"); }),
            "d.schedule:3: tile is given twice");
  EXPECT_EQ(message([] { parse_schedule_request("dense.forward:", "d.schedule:3"); }),
            "d.schedule:3: 'dense.forward:' sets no knob");
}

TEST(ScheduleRequests, FilesHaveOneALineAndComments) {
  const std::string path = testing::TempDir() + "kiln_requests.schedule";
  std::ofstream(path) << "# tuned by hand\n\nconv2d.forward: recipe=rows tile=4  # faster\ndense.forward: vectors=1\n";
  const std::vector<ScheduleRequest> requests = read_schedule_file(path);
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].origin, path + ":3");
  EXPECT_EQ(requests[0].knobs, (KernelSchedule{{"recipe", "rows"}, {"tile", "4"}}));
  EXPECT_EQ(requests[1].origin, path + ":4");
  EXPECT_EQ(message([&] { read_schedule_file(path + ".missing"); }), path + ".missing: cannot be read");
}

TEST(ScheduleRequests, LaterOnesWinKnobByKnob) {
  const std::string target = kernel_target("host");
  const auto request = [](const std::string& text) { return parse_schedule_request(text, "--schedule"); };
  Model model =
      with_schedules(build_model(network()),
                     {request("train/conv2d.forward:recipe=rows,tile=4"), request("conv2d.forward:tile=2")}, target);
  EXPECT_EQ(kernel_of(model, "train", "conv2d.forward").schedule, (KernelSchedule{{"recipe", "rows"}, {"tile", "2"}}));
  EXPECT_EQ(kernel_of(model, "predict", "conv2d.forward").schedule, (KernelSchedule{{"tile", "2"}}));
  // Another recipe has other knobs.
  model = with_schedules(std::move(model), {request("train/conv2d.forward:recipe=winograd,outputs=4")}, target);
  EXPECT_EQ(kernel_of(model, "train", "conv2d.forward").schedule,
            (KernelSchedule{{"recipe", "winograd"}, {"outputs", "4"}}));
}

TEST(ScheduleRequests, KeysFollowShapesAndTarget) {
  const Model model = build_model(network());
  const std::string host = kernel_target("host"), other = kernel_target("x86-64-linux-avx-avx2-f16c-fma-sse41");
  const Program& program = model.programs.front();
  const Kernel& kernel = kernel_of(model, "train", "conv2d.forward");
  const std::string key = schedule_key(program, kernel, host);
  EXPECT_EQ(key.size(), 12U);
  EXPECT_NE(key, schedule_key(program, kernel, other));
  // What was tuned stays under the key when it is set; a key that no kernel has is left over from another graph.
  const auto request = [&](const std::string& k) { return parse_schedule_request("@" + k + ":recipe=rows", "f:1"); };
  const Model tuned = with_schedules(model, {request(key), request("000000000000")}, host);
  EXPECT_EQ(kernel_of(tuned, "train", "conv2d.forward").schedule, (KernelSchedule{{"recipe", "rows"}}));
  EXPECT_EQ(schedule_key(tuned.programs.front(), kernel_of(tuned, "train", "conv2d.forward"), host), key);
}

TEST(ScheduleRequests, UnknownKernelsAndKnobsNameThePlace) {
  const Model model = build_model(network());
  const std::string target = kernel_target("host");
  EXPECT_EQ(
      message([&] { with_schedules(model, {parse_schedule_request("conv.forward:tile=2", "n.schedule:1")}, target); }),
      "n.schedule:1: there is no kernel 'conv.forward'; --list-schedules shows them all");
  EXPECT_EQ(message([&] {
              with_schedules(model, {parse_schedule_request("train/dense.forward:parallel=maybe", "n.schedule:2")},
                             target);
            }),
            "n.schedule:2: schedule of dense.forward: parallel=maybe is not possible here; parallel takes none, tiles");
}

}  // namespace
}  // namespace kiln
