// Recipes of programs of one row: how they are chosen and asked for. Their results are compared in codegen/.
#include <gtest/gtest.h>

#include "codegen/kernel_bitcode.h"
#include "codegen/schedule_requests.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "support/loaded_model.h"

namespace kiln {
namespace {

Graph network() {
  Graph g{"one_row"};
  Tensor x = g.input("image", {12, 12, 4});
  x = max_pool(relu(conv2d(x, {.filters = 48, .padding = Padding::same()})));
  g.output("y", dense(flatten(x), {.units = 10}));
  return g;
}

std::map<std::string, std::string> knobs_of(const Model& model, const std::string& program, const std::string& kernel) {
  std::map<std::string, std::string> result;
  for (const Program& candidate : model.programs) {
    for (const Kernel& k : candidate.kernels) {
      if (candidate.name != program || k.name != kernel) continue;
      for (const Knob& knob : kernel_knobs(candidate, k, kernel_target("host"))) result[knob.name] = knob.value;
    }
  }
  return result;
}

TEST(SingleRow, RecipesFollowTheLayoutOfTheWeights) {
  const Model model = build_model(network());
  EXPECT_EQ(knobs_of(model, "predict_one", "conv2d.forward").at("recipe"), "features");
  EXPECT_EQ(knobs_of(model, "predict_one", "dense.forward").at("recipe"), "dots");
}

TEST(SingleRow, IsScheduledOnlyWhereItsProgramIsNamed) {
  const std::string target = kernel_target("host");
  const Model plain = with_schedules(
      build_model(network()), {parse_schedule_request("conv2d.forward:recipe=rows,tile=4", "--schedule")}, target);
  EXPECT_EQ(knobs_of(plain, "predict", "conv2d.forward").at("recipe"), "rows");
  EXPECT_EQ(knobs_of(plain, "predict_one", "conv2d.forward").at("recipe"), "features");
  const Model named = with_schedules(
      build_model(network()), {parse_schedule_request("predict_one/dense.forward:tile=3", "--schedule")}, target);
  EXPECT_EQ(knobs_of(named, "predict_one", "dense.forward").at("tile"), "3");
  EXPECT_NE(knobs_of(named, "predict", "dense.forward").at("tile"), "3");
}

TEST(SingleRow, ManyFeaturesAtOnePositionRunOnThreads) {
  Graph g{"one_position"};
  g.output("y", relu(conv2d(g.input("image", {3, 3, 48}), {.filters = 272})));
  const Model model = build_model(g);
  EXPECT_EQ(knobs_of(model, "predict_one", "conv2d.forward").at("parallel"), "rows_features");
  for (const Difference& difference : compare_with_reference(model, "predict_one", 1, 7))
    EXPECT_LE(difference.error, 1e-7) << difference.name;
}

}  // namespace
}  // namespace kiln
