#pragma once

#include <cstdint>
#include <vector>

#include "data/augmentation.h"
#include "data/dataset.h"
#include "executor.h"

namespace kiln {

/// Fills the inputs of a program from rows of a data set: pixels divided by 255 (which is all the scaling there is),
/// the batch innermost, as the program stores it.
class BatchLoader {
 public:
  /// Throws DataError when the data set does not fit the program's inputs.
  BatchLoader(const Executor& executor, const Dataset& dataset);

  /// Rows `rows[0..count)`; those beyond are zero. With an augmentation, each row is changed at random, as a function
  /// of the seed and `counter` + its place.
  void load(const int32_t* rows, int count, const Augmentation* augmentation = nullptr, uint64_t seed = 0,
            uint64_t counter = 0);

 private:
  const Executor& executor_;
  const Dataset& dataset_;
  const kiln_value* image_ = nullptr;
  const kiln_value* label_ = nullptr;
  std::vector<float> augmented_;  // one batch, row by row
};

/// The rows of one epoch in their order: a Fisher-Yates shuffle that the seed and the epoch determine.
std::vector<int32_t> shuffled_rows(int64_t first, int64_t count, uint64_t seed, uint64_t epoch);

}  // namespace kiln
