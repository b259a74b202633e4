#include "metrics.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

const kiln_value kOutputs[] = {{"loss", KILN_F32, 0, 0, 0, nullptr, 0, 1},
                               {"accuracy", KILN_F32, 0, 0, 0, nullptr, 64, 1}};

kiln_program two_outputs() {
  kiln_program program = {};
  program.output_count = 2;
  program.outputs = kOutputs;
  return program;
}

TEST(Metrics, WeightsTheSmallerLastBatchByItsRows) {
  const kiln_program program = two_outputs();
  MetricSums sums(program);
  const float full[] = {1.0f, 0.5f}, partial[] = {4.0f, 1.0f};
  sums.add(full, 64);
  sums.add(partial, 16);
  EXPECT_DOUBLE_EQ(sums.mean(0), (64 * 1.0 + 16 * 4.0) / 80);
  EXPECT_DOUBLE_EQ(sums.mean(1), (64 * 0.5 + 16 * 1.0) / 80);
  EXPECT_EQ(sums.rows(), 80);
}

TEST(Metrics, GoOnFromSavedSums) {
  const kiln_program program = two_outputs();
  MetricSums whole(program), first(program), second(program);
  const float a[] = {0.1f, 0.25f}, b[] = {0.7f, 0.75f};
  whole.add(a, 64), whole.add(b, 3);
  first.add(a, 64);
  second.restore(first.sums(), first.rows());
  second.add(b, 3);
  EXPECT_EQ(whole.sums(), second.sums());
  EXPECT_EQ(whole.mean(0), second.mean(0));
}

TEST(Metrics, AreShownByName) {
  const kiln_program program = two_outputs();
  MetricSums sums(program);
  const float means[] = {2.0f, 0.5f};
  sums.add(means, 10);
  EXPECT_EQ(metric_values(sums, "val_"), (MetricValues{{"val_accuracy", 0.5}, {"val_loss", 2.0}}));
  sums.clear();
  EXPECT_EQ(metric_values(sums), (MetricValues{{"accuracy", 0.0}, {"loss", 0.0}}));
}

TEST(Metrics, KnowWhichWayIsBetter) {
  for (const char* name : {"val_accuracy", "binary_accuracy", "val_f1", "auc", "macro_recall"})
    EXPECT_EQ(larger_is_better(name), true) << name;
  for (const char* name : {"val_loss", "mean_squared_error", "acceleration_error"})
    EXPECT_EQ(larger_is_better(name), false) << name;
  EXPECT_EQ(larger_is_better("val_slack"), std::nullopt);
}

}  // namespace
}  // namespace kiln
