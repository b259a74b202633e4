// Every knob of every recipe: whatever a user or the tuner sets, the program computes the same.
#include "schedule/knobs.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "codegen/kernel_bitcode.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "support/loaded_model.h"

namespace kiln {
namespace {

// Rounding of f32 sums in another order, squared, with room for Winograd's largest tiles (relative 1e-5).
constexpr double kTolerance = 1e-9;

/// A network whose kernels use every recipe and every knob. Smooth everywhere: at a kink, rounding decides on a
/// gradient.
Graph every_recipe() {
  Graph g{"every_recipe"};
  Tensor x = g.input("image", {12, 12, 1});
  x = batch_norm(elu(conv2d(x, {.filters = 16})), {.axis = 1});  // one channel
  x = zero_padding2d(average_pool(x), {.padding = {1}});
  x = batch_norm(elu(conv2d(x, {.filters = 24})), {.axis = 1});  // Winograd's by the rules
  x = elu(conv2d(x, {.filters = 18, .kernel = {2, 2}}));
  x = dropout(flatten(average_pool(x)), {.rate = 0.25});
  x = elu(dense(x, {.units = 208}));
  x = elu(dense(x, {.units = 52}));  // a reduction that is long enough for blocks
  const Tensor p = softmax(dense(x, {.units = 10}));
  const Tensor label = g.label("digit", 10);
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, label), .optimizer = sgd({.learning_rate = 1e-2}), .batch = 64});
  return g;
}

/// Chooses a kernel's knobs one after the other, as their legal values depend on those before: one that no kernel has
/// had yet where there is one, else any.
KernelSchedule choose(const Program& program, Kernel kernel, const std::string& target, std::set<std::string>& covered,
                      std::mt19937& random) {
  kernel.schedule.clear();
  std::string recipe;
  for (size_t k = 0;; ++k) {
    const std::vector<Knob> knobs = kernel_knobs(program, kernel, target);
    if (k == knobs.size()) return kernel.schedule;
    const Knob& knob = knobs[k];
    if (k == 0) recipe = knob.value;
    const auto key = [&](const std::string& value) { return (k == 0 ? "" : recipe + ":") + knob.name + "=" + value; };
    std::vector<std::string> fresh;
    for (const std::string& value : knob.legal) {
      if (covered.count(key(value)) == 0) fresh.push_back(value);
    }
    const std::vector<std::string>& from = fresh.empty() ? knob.legal : fresh;
    const std::string value = from[random() % from.size()];
    if (k == 0) recipe = value;
    covered.insert(key(value));
    kernel.schedule[knob.name] = value;
  }
}

/// The state after one step from fixed values, with a rate so high that the update is no smaller than the weights.
std::vector<float> state_after_step(const Model& model) {
  const LoadedModel loaded(model);
  AlignedBytes state(loaded->state_bytes), arena(loaded->train->arena_bytes);
  std::mt19937 random(1);
  for (int p = 0; p < loaded->parameter_count; ++p) {
    const kiln_parameter& parameter = loaded->parameters[p];
    const float spread = parameter.initializer == KILN_CONSTANT ? 0.2F : parameter.scale;
    const float centre = parameter.initializer == KILN_CONSTANT ? parameter.scale : 0;
    for (uint64_t i = 0; i < parameter.count; ++i)
      state.at<float>(parameter.offset)[i] = centre + spread * (static_cast<float>(random() % 2001) / 1000 - 1);
  }
  const kiln_program& train = *loaded->train;
  for (int i = 0; i < train.input_count; ++i) {
    const kiln_value& input = train.inputs[i];
    for (uint64_t e = 0; e < input.count * static_cast<uint64_t>(train.lanes); ++e) {
      if (input.element == KILN_F32)
        arena.at<float>(input.offset)[e] = static_cast<float>(random() % 256) / 255;
      else
        arena.at<int32_t>(input.offset)[e] = static_cast<int32_t>(random() % static_cast<uint32_t>(input.classes));
    }
  }
  const kiln_scalars scalars = {100, 3, 1, 61, 0};
  train.step(nullptr, arena.data(), state.data(), &scalars);
  return {state.at<float>(0), state.at<float>(loaded->state_bytes)};
}

TEST(Knobs, NoChoiceChangesTheResult) {
  const Model model = build_model(every_recipe());
  const std::vector<float> expected = state_after_step(model);
  const std::string target = kernel_target("host");
  std::set<std::string> covered;
  std::mt19937 random(1);
  // In each round every kernel takes values that none has had yet, while there are any.
  for (int round = 0; round < 10; ++round) {
    Model trial = model;
    for (Program& program : trial.programs) {
      if (program.name != "train") continue;
      for (Kernel& kernel : program.kernels) kernel.schedule = choose(program, kernel, target, covered, random);
    }
    const std::vector<float> found = state_after_step(trial);
    for (NodeId id : model.state.parameters) {
      const std::string& name = std::get<std::string>(model.state_graph.node(id).attributes.at("name"));
      const StateEntry& entry = model.state.entries.at(name);
      double difference = 0, size = 0;
      for (int64_t i = entry.offset / 4; i < entry.offset / 4 + entry.count; ++i) {
        const auto at = static_cast<size_t>(i);
        difference += std::pow(static_cast<double>(found[at]) - expected[at], 2);
        size += std::pow(static_cast<double>(expected[at]), 2);
      }
      if (difference <= kTolerance * size) continue;
      ADD_FAILURE() << name << " differs by " << difference / size << " with";
      for (const Kernel& kernel : trial.programs[0].kernels)
        std::cerr << kernel.name << ": " << to_string(kernel_knobs(trial.programs[0], kernel, target)) << '\n';
      return;
    }
  }
  for (const char* recipe : {"rows", "winograd", "transposed", "lanes", "batch-fold", "element-wise", "fold"}) {
    EXPECT_TRUE(covered.count(std::string("recipe=") + recipe)) << recipe << " was never chosen";
  }
  EXPECT_TRUE(covered.count("winograd:outputs=6"));
  EXPECT_GT(covered.size(), 100U);
}

TEST(Knobs, SameBitsWhateverTheParallelLoopsAre) {
  // The order of every sum is the recipe's; a parallel loop must not be part of it.
  const Model model = build_model(every_recipe());
  Model serial = model;
  for (Program& program : serial.programs) {
    for (Kernel& kernel : program.kernels) {
      for (const Knob& knob : kernel_knobs(program, kernel, kernel_target("host"))) {
        if (knob.name == "parallel") kernel.schedule["parallel"] = "none";
      }
    }
  }
  EXPECT_EQ(state_after_step(model), state_after_step(serial));
}

TEST(Knobs, SayWhatIsAllowed) {
  Knobs knobs("conv2d.forward", {{"tile", "5"}});
  try {
    knobs.choose("tile", std::vector<int>{1, 2, 4}, 4);
    FAIL() << "5 is not legal";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "schedule of conv2d.forward: tile=5 is not possible here; tile takes 1, 2, 4");
  }
}

TEST(Knobs, UnknownOnesAreRefused) {
  Knobs knobs("conv2d.forward", {{"tiel", "4"}});
  knobs.choose("tile", std::vector<int>{1, 2, 4}, 4);
  try {
    knobs.expect_all_used();
    FAIL() << "tiel is no knob";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "schedule of conv2d.forward: there is no knob 'tiel' here; there are tile");
  }
}

}  // namespace
}  // namespace kiln
