#pragma once

#include <string>
#include <vector>

#include "command.h"
#include "program.h"

namespace kiln {

/// <graph>_predict: classes and probabilities of a file's rows by a trained model. Returns the exit code; errors are
/// one line on `err`.
int predict_command(const std::vector<std::string>& arguments, const kiln_model& model,
                    const CommandEnvironment& environment);

/// The same for main(): standard streams and the machine's files.
int predict_command(int argc, char** argv, const kiln_model& model);

}  // namespace kiln
