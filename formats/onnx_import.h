#pragma once

#include <string>

#include "network.h"

namespace kiln {

/// Reads an ONNX file's model as a network named `name`. The first dimension of its inputs is the batch, whether it is
/// symbolic or a number; their layout stays the file's. Throws DataError "file: node 'name' (operator): ..." for what
/// Kiln has no operator for.
Network read_onnx(const std::string& bytes, const std::string& origin, const std::string& name);

/// The operators of ONNX that are read, in alphabetical order.
std::vector<std::string> onnx_operators();

}  // namespace kiln
