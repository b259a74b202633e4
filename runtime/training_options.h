#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kiln {

/// What, besides the data and the program, decides the bits of a training run. A saved state carries them, so that a
/// run that goes on from it is the same run.
struct TrainingOptions {
  int32_t epochs = 1;
  double learning_rate = 1e-3;        // the peak of the schedule
  std::string schedule = "constant";  // see learning_rate.h
  double validation_split = 0;        // the last part of the rows, before any shuffling
  int32_t seed = 1;
  std::string augment;          // "rotation=10,shift=2", see data/augmentation.h; empty: none
  double label_smoothing = 0;   // of the losses that leave it open
  double average = 0;           // decay of the moving average of the weights; 0: none
  int32_t early_stopping = 0;   // epochs without improvement after which to stop; 0: never
  std::string monitor;          // the value that says which epoch is best: "val_loss", "accuracy"...
  bool restore_best = false;    // end with the best epoch's weights instead of the last one's
  std::string on_nan = "stop";  // or "skip", "rollback": see Trainer::run_epoch
  int64_t overfit = 0;          // train and validate on these first rows only; 0: all
  bool fast_dev_run = false;    // three batches of everything
  int64_t digits = 0;           // rows of the built-in digits; 0: the data is a file's
  std::string train;            // that file

  bool operator==(const TrainingOptions&) const = default;
};

/// What the options may be, as flags and in a saved state, by their names in the JSON. One that is 0 where it is not
/// given may be 0 in a state as well.
struct OptionRange {
  const char* option;
  double low, high;
};
inline constexpr OptionRange kOptionRanges[] = {{"epochs", 1, 1e6},
                                                {"learning_rate", 1e-30, 1e30},
                                                {"validation_split", 0, 0.99},
                                                {"seed", 0, 2'147'483'647},
                                                {"label_smoothing", 0, 1},
                                                {"average", 0, 0.999999},
                                                {"early_stopping", 1, 1e6},
                                                {"overfit", 1, 1e9},
                                                {"digits", 64, 1e7}};
struct OptionNames {
  const char* option;
  std::vector<std::string> names;
};
inline const OptionNames kOptionNames[] = {{"schedule", {"constant", "step", "cosine", "one-cycle"}},
                                           {"on_nan", {"stop", "skip", "rollback"}}};

// Of a state from before an option there was, the option is what it is by default.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(TrainingOptions, epochs, learning_rate, schedule, validation_split,
                                                seed, augment, label_smoothing, average, early_stopping, monitor,
                                                restore_best, on_nan, overfit, fast_dev_run, digits, train)

}  // namespace kiln
