#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "batches.h"
#include "checkpoint.h"
#include "data/augmentation.h"
#include "data/dataset.h"
#include "executor.h"
#include "file_system.h"
#include "program.h"

namespace kiln {

/// What a model says of the rows of a data set.
struct Predictions {
  int64_t rows = 0, classes = 0;
  std::vector<float> probabilities;  // rows x classes: the predicted output as it is
  std::vector<int32_t> labels;       // a row's largest one, the first of equals; empty if the model has no classes
};

/// More views of each row to predict from: its own distortions at random, the same in every run (test-time
/// augmentation).
struct Views {
  int32_t count = 0;
  Augmentation augmentation;
};

/// Views distorted at half the strength of a training's augmentation ("rotation=10,shift=2"); throws UsageError where
/// there are views but no augmentation.
Views make_views(int32_t count, const std::string& augmentation);

/// A state's weights as predict() wants them: their moving average where it has one.
AlignedMemory weights_to_predict_with(const Checkpoint& checkpoint);

/// Up to so many rows are predicted faster one by one (predict_one) than as a batch that is not full, by what the
/// kernels of both programs compute and read; 0 where the model has no program for one row.
int64_t rows_one_by_one(const kiln_model& model);

/// Runs the model's predict program over all rows, a batch at a time (and predict_one over the rows that a last batch
/// would be too small for), and over their views, whose outputs are averaged with the row's own. `weights`: the state
/// block's leading weight_bytes, 64-byte aligned. Throws NonFiniteError naming the row, and an Error of code 130 when
/// it is interrupted.
Predictions predict(
    const kiln_model& model, Context& context, uint8_t* weights, const Dataset& dataset, const Views& views = {},
    const std::function<bool()>& interrupted = [] { return false; });

/// What several models say together: the mean of their outputs, and its largest class. All are of the same rows.
Predictions mean(std::span<const Predictions> predictions);

/// "ImageId,0,1,...": the predicted output, a row of numbers each.
void write_outputs(FileSystem& files, const std::string& path, const Predictions& predictions);

/// A submission; of a model without classes the outputs themselves.
void write_predictions(FileSystem& files, const std::string& path, const Predictions& predictions);

/// Predicts single rows as they come, by predict_one where the model has it. What it needs is allocated once.
class RowPredictor {
 public:
  /// As predict(); model, context and weights must outlive it.
  RowPredictor(const kiln_model& model, Context& context, uint8_t* weights);

  /// The predicted output for the pixels of one row. Throws NonFiniteError.
  std::vector<float> predict(std::span<const uint8_t> pixels);

 private:
  uint8_t* weights_;
  Dataset row_;
  Executor executor_;
  BatchLoader loader_;
  const kiln_value& output_;
};

/// How many of the labels are the same.
int64_t count_correct(std::span<const int32_t> predicted, std::span<const int32_t> labels);

}  // namespace kiln
