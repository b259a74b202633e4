// The built-in digits: the same whatever made them, centred and inked as MNIST's, and telling their labels.
#include "data/synthetic_digits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace kiln {
namespace {

constexpr int kSize = 28, kPixels = kSize * kSize;

const Dataset& digits() {
  static const Dataset dataset = synthetic_digits(5000, 1, 2);
  return dataset;
}
const uint8_t* image(const Dataset& dataset, int64_t row) { return dataset.pixels.data() + row * kPixels; }

TEST(SyntheticDigitsTest, ShapeAndCounts) {
  EXPECT_EQ(digits().rows, 5000);
  EXPECT_EQ(digits().shape, (std::vector<int64_t>{28, 28, 1}));
  EXPECT_EQ(digits().pixels.size(), 5000U * kPixels);
  EXPECT_EQ(digits().labels.size(), 5000U);
  EXPECT_EQ(digits().origin, "built-in digits 0..4999 of seed 1");
}

TEST(SyntheticDigitsTest, TheSameForAnyNumberOfThreads) {
  const Dataset one = synthetic_digits(100, 7, 1);
  for (const int threads : {2, 3, 7, 128}) {
    const Dataset other = synthetic_digits(100, 7, threads);
    EXPECT_EQ(other.pixels, one.pixels) << threads;
    EXPECT_EQ(other.labels, one.labels) << threads;
  }
}

TEST(SyntheticDigitsTest, AnImageDoesNotDependOnTheOthers) {
  const Dataset some = synthetic_digits(10, 1, 1, 4321);
  EXPECT_EQ(some.origin, "built-in digits 4321..4330 of seed 1");
  for (int64_t row = 0; row < some.rows; ++row) {
    EXPECT_TRUE(std::equal(image(some, row), image(some, row) + kPixels, image(digits(), 4321 + row))) << row;
    EXPECT_EQ(some.labels[static_cast<size_t>(row)], digits().labels[static_cast<size_t>(4321 + row)]);
  }
}

TEST(SyntheticDigitsTest, NoImageComesTwice) {
  std::set<std::vector<uint8_t>> seen;
  const Dataset other_seed = synthetic_digits(1000, 2, 2);
  for (const Dataset* dataset : {&digits(), &other_seed}) {
    for (int64_t row = 0; row < dataset->rows; ++row)
      seen.emplace(image(*dataset, row), image(*dataset, row) + kPixels);
  }
  EXPECT_EQ(seen.size(), 6000U);
}

TEST(SyntheticDigitsTest, EveryDigitIsAsLikely) {
  std::vector<int> counts(10);
  for (const int32_t label : digits().labels) ++counts.at(static_cast<size_t>(label));
  // 500 each; six standard deviations, sqrt(5000 * 0.1 * 0.9) each.
  for (const int count : counts) EXPECT_NEAR(count, 500, 128);
}

// MNIST: "size normalised to fit in a 20x20 pixel box preserving the aspect ratio, and centred in a 28x28 image by
// the centre of mass". Its soft edges reach a pixel further here, as does a pen that presses harder.
TEST(SyntheticDigitsTest, SizedAndCentredAsMnist) {
  for (int64_t row = 0; row < digits().rows; ++row) {
    const uint8_t* pixels = image(digits(), row);
    double mass = 0, x_sum = 0, y_sum = 0;
    int x_low = kSize, x_high = -1, y_low = kSize, y_high = -1;
    for (int i = 0; i < kPixels; ++i) {
      const int x = i % kSize, y = i / kSize;
      mass += pixels[i];
      x_sum += pixels[i] * x;
      y_sum += pixels[i] * y;
      if (pixels[i] < 64) continue;  // the soft edge
      x_low = std::min(x_low, x), x_high = std::max(x_high, x);
      y_low = std::min(y_low, y), y_high = std::max(y_high, y);
    }
    ASSERT_GT(mass, 0) << row;
    const int longest = std::max(x_high - x_low, y_high - y_low) + 1;
    EXPECT_GE(longest, 18) << row;
    EXPECT_LE(longest, 21) << row;
    // Centred by whole pixels: half a pixel off at most, and a little for the grain, which comes later.
    EXPECT_NEAR(x_sum / mass, 13.5, 0.6) << row;
    EXPECT_NEAR(y_sum / mass, 13.5, 0.6) << row;
  }
}

TEST(SyntheticDigitsTest, InkedAsMnist) {
  double mean = 0;
  int64_t at_edge = 0;
  for (int64_t row = 0; row < digits().rows; ++row) {
    const uint8_t* pixels = image(digits(), row);
    EXPECT_GE(*std::max_element(pixels, pixels + kPixels), 180) << row;
    // The box leaves a white frame; only a lopsided digit's mass pushes it to the edge.
    int edge = 0;
    for (int i = 0; i < kSize; ++i) {
      edge += pixels[i] + pixels[kPixels - 1 - i] + pixels[i * kSize] + pixels[i * kSize + kSize - 1];
    }
    at_edge += edge > 0;
    for (int i = 0; i < kPixels; ++i) mean += pixels[i] / 255.0 / kPixels / static_cast<double>(digits().rows);
  }
  EXPECT_LT(at_edge, digits().rows / 20);  // 1.4% of MNIST's, most of them sevens, as here
  EXPECT_NEAR(mean, 0.1307, 0.03);         // MNIST's mean
}

// The mean image of each class tells about 4 of 5 unseen images, as it does with MNIST (82%): the labels belong to the
// images, and the images are not so alike that telling them is no work.
TEST(SyntheticDigitsTest, AsHardAsMnistForMeanImages) {
  constexpr int64_t kTrain = 4000;
  std::vector<std::vector<double>> means(10, std::vector<double>(kPixels));
  std::vector<double> counts(10);
  for (int64_t row = 0; row < kTrain; ++row) {
    const auto label = static_cast<size_t>(digits().labels[static_cast<size_t>(row)]);
    ++counts[label];
    for (int i = 0; i < kPixels; ++i) means[label][static_cast<size_t>(i)] += image(digits(), row)[i];
  }
  for (size_t label = 0; label < 10; ++label) {
    for (double& value : means[label]) value /= counts[label];
  }
  int64_t right = 0;
  for (int64_t row = kTrain; row < digits().rows; ++row) {
    const auto distance = [&](size_t label) {
      double sum = 0;
      for (int i = 0; i < kPixels; ++i)
        sum += std::pow(image(digits(), row)[i] - means[label][static_cast<size_t>(i)], 2);
      return sum;
    };
    size_t nearest = 0;
    for (size_t label = 1; label < 10; ++label) nearest = distance(label) < distance(nearest) ? label : nearest;
    right += static_cast<int32_t>(nearest) == digits().labels[static_cast<size_t>(row)];
  }
  const double accuracy = static_cast<double>(right) / static_cast<double>(digits().rows - kTrain);
  EXPECT_GT(accuracy, 0.70);
  EXPECT_LT(accuracy, 0.92);
}

}  // namespace
}  // namespace kiln
