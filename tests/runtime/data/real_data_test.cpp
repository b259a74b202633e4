// The real digits, where they are: the environment's KILN_DIGITS_DATA, or shared/data beside the source tree.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "data/csv.h"
#include "data/dataset.h"

namespace kiln {
namespace {

class RealDigitsTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* given = std::getenv("KILN_DIGITS_DATA");
    folder_ = given != nullptr ? given : KILN_SOURCE_DIR "/../shared/data";
    if (!std::filesystem::exists(folder_ + "/train.csv.gz")) {
      GTEST_SKIP() << "NOT TESTED: no real digits at " << folder_
                   << "; set KILN_DIGITS_DATA to the folder of train.csv.gz";
    }
  }
  static std::vector<int64_t> histogram(const std::vector<int32_t>& labels) {
    std::vector<int64_t> counts(10);
    for (const int32_t label : labels) ++counts.at(static_cast<size_t>(label));
    return counts;
  }
  /// Any pixel that is wrong or elsewhere changes it; NumPy's integers gave the expected values from the same files:
  /// (v * (np.arange(v.size) % 65521 + 1)).sum()
  static uint64_t checksum(const std::vector<uint8_t>& pixels) {
    uint64_t sum = 0;
    for (size_t i = 0; i < pixels.size(); ++i) sum += pixels[i] * (i % 65521 + 1);
    return sum;
  }

  std::string folder_;
};

TEST_F(RealDigitsTest, TrainingRows) {
  const Dataset train = load_dataset(folder_ + "/train.csv.gz", {28, 28, 1}, 10);
  EXPECT_EQ(train.rows, 42'000);
  EXPECT_EQ(train.pixels.size(), 42'000U * 784);
  EXPECT_EQ(histogram(train.labels),
            (std::vector<int64_t>{4141, 4663, 4135, 4344, 4121, 3753, 4188, 4337, 4084, 4234}));
  EXPECT_EQ(std::vector<int32_t>(train.labels.begin(), train.labels.begin() + 5),
            (std::vector<int32_t>{8, 7, 6, 3, 5}));
  EXPECT_EQ(checksum(train.pixels), 35'936'753'745'122U);
}

TEST_F(RealDigitsTest, TestRowsAndTheirLabels) {
  const Dataset test = load_dataset(folder_ + "/test.csv.gz", {28, 28, 1}, 10);
  EXPECT_EQ(test.rows, 18'000);
  EXPECT_TRUE(test.labels.empty());
  EXPECT_EQ(checksum(test.pixels), 15'346'844'186'694U);
  const std::vector<int32_t> labels = read_labels(folder_ + "/test_labels.csv", 10);
  EXPECT_EQ(histogram(labels), (std::vector<int64_t>{1782, 2079, 1823, 1787, 1721, 1668, 1730, 1928, 1767, 1715}));
  EXPECT_EQ(std::vector<int32_t>(labels.begin(), labels.begin() + 5), (std::vector<int32_t>{9, 3, 1, 6, 2}));
}

}  // namespace
}  // namespace kiln
