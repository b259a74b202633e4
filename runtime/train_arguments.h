#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "program.h"
#include "training_options.h"

namespace kiln {

/// A flag that was given and decides the bits of the run: a saved state may say otherwise.
struct GivenOption {
  std::string flag;   // "--seed"
  std::string field;  // of TrainingOptions, as in its JSON
};

/// The command line of <graph>_train.
struct TrainArguments {
  TrainingOptions options;         // the model's defaults where no flag was given
  std::vector<GivenOption> given;  // which of them were flags
  std::string test, test_labels, submission, save, run_folder, resume, load, tensorboard, export_digits;
  int32_t threads = 0;  // 0: all cores
  int32_t views = 0;    // of each test row, besides itself
  int32_t ensemble = 1;
  std::string profile;  // "", "table" or "trace"
  bool quiet = false, json = false, selftest = false;
};

/// Reads the flags (without the program's name). Nothing where --help or --version was asked for, whose text is then
/// written to `out`. Throws UsageError.
std::optional<TrainArguments> parse_train_arguments(const std::vector<std::string>& arguments, const kiln_model& model,
                                                    std::ostream& out);

/// The options of a run that goes on: the state's, with the number of epochs from the flags where that changes nothing
/// that was done. Throws UsageError naming both sides where a flag contradicts the state.
TrainingOptions resumed_options(const TrainArguments& arguments, const TrainingOptions& saved);

}  // namespace kiln
