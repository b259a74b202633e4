#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "command.h"
#include "error.h"
#include "predictor.h"
#include "program.h"
#include "train_arguments.h"

namespace kiln {

struct Outcome {
  ExitCode code = ExitCode::done;
  std::optional<Predictions> predictions;  // of the test rows
  std::vector<int32_t> test_labels;
};

/// One run, from its options to its report. `command` are the words that it was asked for with.
Outcome training_run(const std::vector<std::string>& command, const TrainArguments& arguments, const kiln_model& model,
                     const CommandEnvironment& environment);

/// The folder that flags or the state to go on from name. Empty: the next free one, which is created when everything
/// else is known to be right. Throws UsageError where another run's results are in it.
std::string choose_run_folder(const TrainArguments& arguments);

/// Throws UsageError where an output that a flag names is a file that the run reads, `train` among them.
void require_other_outputs(const TrainArguments& arguments, const std::string& train);

/// A file that is only written after hours had better be writable; throws UsageError.
void require_parent_folder(const char* flag, const std::string& path);

/// "Test accuracy: 99.50% (...)", and result["test_accuracy"]; nothing where classes or labels are unknown.
std::string accuracy_text(const std::string& title, const Predictions& predictions, std::span<const int32_t> labels,
                          nlohmann::ordered_json& result);

}  // namespace kiln
