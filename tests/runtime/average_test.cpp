#include "average.h"

#include <gtest/gtest.h>

#include <vector>

#include "parallel.h"

namespace kiln {
namespace {

TEST(Average, DecayIsRampedUpToTheOneAskedFor) {
  EXPECT_FLOAT_EQ(average_decay(0.999, 0), 0.1F);
  EXPECT_FLOAT_EQ(average_decay(0.999, 1), 2.0F / 11);
  EXPECT_FLOAT_EQ(average_decay(0.999, 90), 0.91F);
  EXPECT_FLOAT_EQ(average_decay(0.999, 1'000'000), 0.999F);
}

TEST(Average, HasTheSameBitsAtAnyNumberOfThreads) {
  const size_t count = 200'001;  // more than one task, the last one smaller
  std::vector<float> values(count), expected(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) / 7, expected[i] = static_cast<float>(count - i);
  const std::vector<float> before = expected;
  for (size_t i = 0; i < count; ++i) expected[i] += (1 - 0.9F) * (values[i] - expected[i]);
  for (const int threads : {1, 2, 3}) {
    Context context(threads);
    std::vector<float> average = before;
    average.push_back(42);  // behind the end
    update_average(&context, average.data(), values.data(), count, 0.9F);
    EXPECT_EQ(average.back(), 42);
    average.pop_back();
    EXPECT_EQ(average, expected);
  }
}

}  // namespace
}  // namespace kiln
