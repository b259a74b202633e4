#include "learning_rate.h"

#include <gtest/gtest.h>

#include "error.h"

namespace kiln {
namespace {

using Kind = LearningRateSchedule::Kind;

double rate(Kind kind, int64_t step, int64_t total = 20, int64_t epoch_steps = 2) {
  return learning_rate({.kind = kind, .rate = 0.1}, step, total, epoch_steps);
}

TEST(LearningRate, ConstantStays) {
  for (int64_t step = 0; step < 20; ++step) EXPECT_EQ(rate(Kind::constant, step), 0.1);
}

TEST(LearningRate, StepDropsToATenthEveryTenEpochs) {
  EXPECT_EQ(rate(Kind::step, 0, 100), 0.1);
  EXPECT_EQ(rate(Kind::step, 19, 100), 0.1);
  EXPECT_DOUBLE_EQ(rate(Kind::step, 20, 100), 0.01);
  EXPECT_DOUBLE_EQ(rate(Kind::step, 39, 100), 0.01);
  EXPECT_DOUBLE_EQ(rate(Kind::step, 40, 100), 0.001);
}

TEST(LearningRate, CosineFallsFromTheRateToZero) {
  EXPECT_DOUBLE_EQ(rate(Kind::cosine, 0, 21), 0.1);
  EXPECT_DOUBLE_EQ(rate(Kind::cosine, 5, 21), 0.085355339059327376);  // 0.1 (1 + cos(pi / 4)) / 2
  EXPECT_DOUBLE_EQ(rate(Kind::cosine, 10, 21), 0.05);
  EXPECT_NEAR(rate(Kind::cosine, 20, 21), 0, 1e-17);
}

// From the formula in PyTorch's documentation of OneCycleLR (max_lr 0.1, total_steps 20, pct_start 0.3,
// anneal_strategy "cos", div_factor 25, final_div_factor 1e4), by hand: up over steps 0 to 5, down to step 19.
TEST(LearningRate, OneCycleRisesAndFalls) {
  EXPECT_DOUBLE_EQ(rate(Kind::one_cycle, 0), 0.004);
  EXPECT_NEAR(rate(Kind::one_cycle, 1), 0.0131671842700025, 1e-15);
  EXPECT_NEAR(rate(Kind::one_cycle, 4), 0.0908328157299975, 1e-15);
  EXPECT_DOUBLE_EQ(rate(Kind::one_cycle, 5), 0.1);
  EXPECT_NEAR(rate(Kind::one_cycle, 12), 0.0500002, 1e-15);
  EXPECT_NEAR(rate(Kind::one_cycle, 19), 4e-7, 1e-17);
}

TEST(LearningRate, ShortRunsHaveNoHoles) {
  for (const Kind kind : {Kind::constant, Kind::step, Kind::cosine, Kind::one_cycle}) {
    for (int64_t total = 1; total < 5; ++total) {
      for (int64_t step = 0; step < total; ++step) {
        const double value = rate(kind, step, total, 1);
        EXPECT_GE(value, 0) << to_string(kind) << " " << step << " of " << total;
        EXPECT_LE(value, 0.1) << to_string(kind) << " " << step << " of " << total;
      }
    }
  }
}

TEST(LearningRate, NamesAreReadBack) {
  for (const Kind kind : {Kind::constant, Kind::step, Kind::cosine, Kind::one_cycle}) {
    EXPECT_EQ(parse_schedule(to_string(kind)), kind);
  }
  try {
    parse_schedule("linear");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "--schedule: there is no schedule 'linear'; there are constant, step, cosine and one-cycle");
  }
}

}  // namespace
}  // namespace kiln
