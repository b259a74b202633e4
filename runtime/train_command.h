#pragma once

#include <string>
#include <vector>

#include "command.h"
#include "program.h"

namespace kiln {

/// <graph>_train: data, training, the run folder, the submission. Returns the exit code; errors are one line on `err`.
int train_command(const std::vector<std::string>& arguments, const kiln_model& model,
                  const CommandEnvironment& environment);

/// The same for main(): standard streams, the machine's files, Ctrl-C.
int train_command(int argc, char** argv, const kiln_model& model);

}  // namespace kiln
