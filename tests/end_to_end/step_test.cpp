// The digit network's own step: what it allocates, the threads it starts, and its bits; its two ways to predict.
#include <gtest/gtest.h>

#include <filesystem>

#include "data/synthetic_digits.h"
#include "initialize.h"
#include "predictor.h"
#include "program.h"
#include "runtime/allocation_counter.h"
#include "trainer.h"

extern "C" const kiln_model digits_model;

namespace kiln {
namespace {

int64_t running_threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

TEST(Step, AllocatesNothingStartsNoThreadAndHasTheSameBits) {
  const Dataset digits = synthetic_digits(810, 1, 1);  // 648 to train on: the last batch has 8 rows
  std::vector<uint8_t> expected;
  for (const int threads : {1, 2, 3}) {
    Context context(threads);
    TrainingOptions options;
    options.epochs = 1;
    options.validation_split = 0.2;
    options.average = 0.99;
    options.augment = "rotation=10,shift=2";
    options.schedule = "one-cycle";
    Trainer trainer(digits_model, context, options, digits);
    int64_t steps = 0, allocations_before = 0, allocations_after = 0, threads_before = 0, threads_after = 0;
    trainer.run_epoch([&] {
      if (++steps == 1) {
        threads_before = running_threads();
        allocations_before = allocation_count();
      }
      allocations_after = allocation_count();
      return true;
    });
    threads_after = running_threads();
    EXPECT_EQ(steps, 11);
    EXPECT_EQ(allocations_after - allocations_before, 0) << threads << " threads";
    EXPECT_EQ(threads_after, threads_before);
    const Checkpoint checkpoint = trainer.checkpoint();
    std::vector<uint8_t> bits = checkpoint.weights;
    bits.insert(bits.end(), checkpoint.optimizer.begin(), checkpoint.optimizer.end());
    bits.insert(bits.end(), checkpoint.average.begin(), checkpoint.average.end());
    if (expected.empty()) expected = bits;
    EXPECT_TRUE(bits == expected) << threads << " threads";
  }
}

TEST(Prediction, OneRowAtATimeAndInBatchesAreEqualUpToRounding) {
  const int64_t few = rows_one_by_one(digits_model);
  ASSERT_GT(few, 1);
  ASSERT_LT(few, digits_model.predict->batch);
  const Dataset digits = synthetic_digits(few, 1, 1);
  AlignedMemory state(digits_model.state_bytes);
  initialize(digits_model, 1, state.data());
  kiln_model batches = digits_model;
  batches.predict_one = nullptr;
  Predictions expected;
  for (const int threads : {1, 2, 3}) {
    Context context(threads);
    const Predictions single = predict(digits_model, context, state.data(), digits);
    const Predictions batch = predict(batches, context, state.data(), digits);
    ASSERT_EQ(single.probabilities.size(), batch.probabilities.size());
    for (size_t i = 0; i < single.probabilities.size(); ++i) {
      // Sums of at most some thousand terms in another order, each rounded to 2^-24.
      EXPECT_NEAR(single.probabilities[i], batch.probabilities[i], 1e-5) << "row " << i / 10;
    }
    if (expected.rows == 0) expected = single;
    EXPECT_EQ(single.probabilities, expected.probabilities) << threads << " threads: other bits";
  }
}

}  // namespace
}  // namespace kiln
