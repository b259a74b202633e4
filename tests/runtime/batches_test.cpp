// Rows become a batch: scaled, transposed, shuffled, and nothing of the batch before left in it.
#include "batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "error.h"
#include "fake_model.h"
#include "runtime/data/errors.h"

namespace kiln {
namespace {

class BatchesTest : public testing::Test {
 protected:
  float pixel(int i, int n) const { return executor_.real(*image_)[i * 8 + n]; }
  int32_t label(int n) const { return executor_.integer(*label_)[n]; }

  const kiln_model& model_ = small_model();
  Dataset dataset_ = learnable_rows(model_, 50);
  Context context_{2};
  Executor executor_{*model_.train, context_};
  const kiln_value* image_ = executor_.find_input("image");
  const kiln_value* label_ = executor_.find_input("digit");
  BatchLoader loader_{executor_, dataset_};
};

TEST_F(BatchesTest, DividesBy255AndPutsTheBatchInnermost) {
  const int32_t rows[] = {7, 49, 0, 7, 3, 12};
  loader_.load(rows, 6);
  for (int n = 0; n < 6; ++n) {
    EXPECT_EQ(label(n), dataset_.labels[static_cast<size_t>(rows[n])]);
    for (int i = 0; i < 16; ++i) {
      const uint8_t byte = dataset_.pixels[static_cast<size_t>(rows[n] * 16 + i)];
      EXPECT_EQ(pixel(i, n), static_cast<float>(byte) / 255.0F);
    }
  }
}

// What is computed of them must be finite: zeros would do for few operators.
TEST_F(BatchesTest, LanesWithoutARowRepeatTheLast) {
  const int32_t rows[] = {7, 49, 0, 7, 3, 12};
  loader_.load(rows, 6);
  loader_.load(rows, 2);
  EXPECT_EQ(pixel(3, 1), static_cast<float>(dataset_.pixels[49 * 16 + 3]) / 255.0F);
  for (int n = 2; n < 8; ++n) {
    EXPECT_EQ(label(n), label(1));
    for (int i = 0; i < 16; ++i) EXPECT_EQ(pixel(i, n), pixel(i, 1));
  }
}

TEST_F(BatchesTest, BatchesOfAnySizeAreLoaded) {
  kiln_program wide = *model_.predict;
  wide.batch = 5000;
  wide.lanes = 5008;
  wide.arena_bytes = 16 * 5008 * 4;
  wide.output_count = 0;
  Executor executor(wide, context_);
  BatchLoader loader(executor, dataset_);
  std::vector<int32_t> rows(5000);
  for (size_t n = 0; n < rows.size(); ++n) rows[n] = static_cast<int32_t>(n % 50);
  loader.load(rows.data(), 5000);
  for (size_t n = 0; n < rows.size(); ++n) {
    ASSERT_EQ(executor.real(wide.inputs[0])[15 * 5008 + n],
              static_cast<float>(dataset_.pixels[n % 50 * 16 + 15]) / 255.0F);
  }
}

TEST_F(BatchesTest, AnImageIsDistortedByItsCounterAndNotByItsNeighbours) {
  const Augmentation augmentation = {.rotation_degrees = 30, .shift_pixels = 1, .zoom = 0.2F, .shear_degrees = 5};
  const int32_t rows[] = {1, 2, 3, 4, 5, 6};
  loader_.load(rows, 6, &augmentation, 9, 100);
  std::vector<float> fourth, plain;
  for (int i = 0; i < 16; ++i) fourth.push_back(pixel(i, 3));
  loader_.load(rows + 3, 1, &augmentation, 9, 103);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(pixel(i, 0), fourth[static_cast<size_t>(i)]);
  const auto differs = [&](uint64_t seed, uint64_t counter) {
    loader_.load(rows + 3, 1, &augmentation, seed, counter);
    for (int i = 0; i < 16; ++i) {
      if (pixel(i, 0) != fourth[static_cast<size_t>(i)]) return true;
    }
    return false;
  };
  EXPECT_TRUE(differs(9, 104));
  EXPECT_TRUE(differs(10, 103));
  EXPECT_FALSE(differs(9, 103));
}

// Rows are dealt out sixteen at a time, so that a batch of 50 is several tasks.
TEST_F(BatchesTest, ADistortedBatchHasTheSameBitsAtAnyNumberOfThreads) {
  constexpr int64_t kShape[] = {4, 4, 1};
  kiln_program program = *model_.train;
  kiln_value image = *image_;
  program.batch = 50;
  program.lanes = 56;
  program.inputs = &image;
  program.input_count = 1;
  image.offset = 0;
  image.shape = kShape;
  image.rank = 3;
  program.arena_bytes = sizeof(float) * 16 * 56;
  const Augmentation augmentation = {.rotation_degrees = 30, .shift_pixels = 1, .zoom = 0.2F, .shear_degrees = 5};
  const std::vector<int32_t> rows = shuffled_rows(0, 50, 1, 1);
  std::vector<float> expected;
  for (const int threads : {1, 2, 3, 8}) {
    Context context(threads);
    Executor executor(program, context);
    BatchLoader(executor, dataset_).load(rows.data(), 50, &augmentation, 9, 100);
    const std::vector<float> found(executor.real(image), executor.real(image) + 16 * 56);
    if (expected.empty()) expected = found;
    EXPECT_EQ(found, expected) << threads;
    for (size_t n = 50; n < 56; ++n) EXPECT_EQ(found[n], found[49]);
  }
  EXPECT_GT(*std::max_element(expected.begin(), expected.end()), 0);
}

TEST_F(BatchesTest, RowsOfAnotherShapeAreRefused) {
  Dataset other = dataset_;
  other.shape = {2, 2, 1};
  other.origin = "other.csv";
  try {
    BatchLoader loader(executor_, other);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(), "other.csv: samples are 2x2x1, the graph's input 'image' is 4x4x1");
  }
}

TEST_F(BatchesTest, AGraphThatADataSetCannotFillIsRefused) {
  const auto refusal = [&](std::vector<kiln_value> inputs) {
    kiln_program program = *model_.train;
    program.inputs = inputs.data();
    program.input_count = static_cast<int32_t>(inputs.size());
    const Executor executor(program, context_);
    return data_error([&] { BatchLoader(executor, dataset_); });
  };
  kiln_value second = *image_;
  second.name = "other";
  EXPECT_EQ(refusal({*image_, *label_, second}),
            "the graph has two inputs of one kind, 'image' and 'other'; a data set fills one");
  EXPECT_EQ(refusal({*label_}), "the graph has no input of real numbers");
  EXPECT_EQ(refusal({*image_}), "no error");  // an autoencoder has no label
}

TEST_F(BatchesTest, RowsWithoutLabelsLoadTheFirstClass) {
  dataset_.labels.clear();
  const int32_t rows[] = {7, 3};
  executor_.integer(*label_)[1] = 9;
  loader_.load(rows, 2);
  for (int n = 0; n < 8; ++n) EXPECT_EQ(label(n), 0);
}

TEST_F(BatchesTest, ADistortionOfNothingLeavesTheRowAsItIs) {
  const int32_t rows[] = {7};
  loader_.load(rows, 1);
  const std::vector<float> plain(executor_.real(*image_), executor_.real(*image_) + 16 * 8);
  const Augmentation nothing;
  loader_.load(rows, 1, &nothing, 1, 1);
  EXPECT_EQ(plain, std::vector<float>(executor_.real(*image_), executor_.real(*image_) + 16 * 8));
}

TEST(ShuffledRows, AreAPermutationOfTheirRange) {
  for (const int64_t count : {1, 2, 33, 1000}) {
    std::vector<int32_t> rows = shuffled_rows(10, count, 1, 0), expected(static_cast<size_t>(count));
    std::iota(expected.begin(), expected.end(), 10);
    if (count > 2) {
      EXPECT_NE(rows, expected);
    }
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(rows, expected);
  }
  EXPECT_TRUE(shuffled_rows(0, 0, 1, 0).empty());
}

TEST(ShuffledRows, DependOnSeedAndEpoch) {
  EXPECT_EQ(shuffled_rows(0, 100, 1, 2), shuffled_rows(0, 100, 1, 2));
  EXPECT_NE(shuffled_rows(0, 100, 1, 2), shuffled_rows(0, 100, 1, 3));
  EXPECT_NE(shuffled_rows(0, 100, 1, 2), shuffled_rows(0, 100, 2, 2));
}

// Each of 4 rows should be first in a quarter of 4000 epochs; 5 standard deviations are 137.
TEST(ShuffledRows, FavourNoRow) {
  int first[4] = {};
  for (uint64_t epoch = 0; epoch < 4000; ++epoch) ++first[shuffled_rows(0, 4, 1, epoch)[0]];
  for (const int times : first) EXPECT_NEAR(times, 1000, 137);
}

}  // namespace
}  // namespace kiln
