#pragma once

#include <string>

#include "checkpoint.h"

namespace kiln {

/// The ONNX file of a trained model: its prediction, with the weights (the average's where there is one) and a symbolic
/// batch N. Inputs and outputs keep Kiln's layout (images as N x height x width x channels); transposes lie inside.
/// Throws UsageError "file:line: ..." for what ONNX has no operator for, DataError for a file without structure.
std::string write_onnx(const KilnFile& file, const std::string& origin);

}  // namespace kiln
