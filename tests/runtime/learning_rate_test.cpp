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

// The rates of PyTorch 2.15, of s.get_last_lr()[0] after so many s.step():
//   o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
//   s = torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=total)
// Both compute in f64 and differ by their roundings.
TEST(LearningRate, OneCycleIsPyTorchs) {
  const struct {
    int64_t total, step;
    double expected;
  } table[] = {{20, 0, 0.0040000000000000036},
               {20, 1, 0.013167184270002533},
               {20, 2, 0.037167184270002526},
               {20, 3, 0.06683281572999747},
               {20, 4, 0.09083281572999748},
               {20, 5, 0.1},
               {20, 6, 0.09874640062350874},
               {20, 9, 0.0811745653949763},
               {20, 12, 0.0500002},
               {20, 18, 0.0012539993764912555},
               {20, 19, 4e-07},
               {1000, 1, 0.00400264950421679},
               {1000, 150, 0.05225216681225469},
               {1000, 298, 0.09999735049578322},
               {1000, 299, 0.1},
               {1000, 300, 0.09999949645161448},
               {1000, 650, 0.049775802175648615},
               {1000, 998, 9.035483855369959e-07},
               {1000, 999, 4e-07},
               {3, 0, 0.09944154354509119},
               {3, 1, 0.046263710266697504},
               {3, 2, 4e-07}};
  for (const auto& row : table) {
    EXPECT_NEAR(rate(Kind::one_cycle, row.step, row.total), row.expected, 1e-15) << row.step << " of " << row.total;
  }
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
