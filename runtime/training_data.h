#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/dataset.h"
#include "program.h"
#include "train_arguments.h"

namespace kiln {

/// The built-in digits: one fixed collection, so that runs with different seeds learn from the same rows, and rows far
/// behind any that one trains on to test with.
constexpr int64_t kDigits = 20'000;
Dataset training_digits(int64_t rows, int threads);
Dataset test_digits(int threads);

/// Throws UsageError where the graph does not take the built-in digits.
void require_digits(const kiln_model& model);

/// The rows to train and validate on. Throws DataError.
Dataset load_training_data(const kiln_model& model, const TrainingOptions& options, int threads);

/// The rows to test with, where there are some.
struct TestData {
  std::optional<Dataset> rows;
  std::vector<int32_t> labels;  // empty: not known
};
TestData load_test_data(const kiln_model& model, const TrainArguments& arguments, const TrainingOptions& options,
                        int threads);

}  // namespace kiln
