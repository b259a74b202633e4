#pragma once

#include <string>
#include <vector>

#include "command.h"
#include "error.h"
#include "program.h"
#include "train_arguments.h"

namespace kiln {

/// Trains --ensemble networks with seeds of their own in the folders 1, 2, ... of the run's, and predicts by the mean
/// of what they say. A member that was finished or interrupted goes on from its state; those that follow have the
/// options of the first.
ExitCode train_ensemble(const std::vector<std::string>& command, const TrainArguments& arguments,
                        const kiln_model& model, const CommandEnvironment& environment);

}  // namespace kiln
