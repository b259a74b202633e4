#include "finite.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace kiln {
namespace {

TEST(Finite, KnowsInfinityAndNotANumber) {
  using Limits = std::numeric_limits<float>;
  for (float value : {0.0f, -0.0f, 1.0f, Limits::max(), Limits::lowest(), Limits::denorm_min()}) {
    EXPECT_TRUE(is_finite(value));
    EXPECT_TRUE(is_finite(static_cast<double>(value)));
  }
  for (float value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN()}) {
    EXPECT_FALSE(is_finite(value));
    EXPECT_FALSE(is_finite(static_cast<double>(value)));
    for (size_t at : {0u, 7u, 36u}) {
      std::vector<float> values(37, 1.0f);
      EXPECT_TRUE(all_finite(values.data(), values.size()));
      values[at] = value;
      EXPECT_FALSE(all_finite(values.data(), values.size()));
      EXPECT_TRUE(all_finite(values.data(), at));
    }
  }
  EXPECT_TRUE(all_finite(nullptr, 0));
}

}  // namespace
}  // namespace kiln
