#pragma once

#include <string>

namespace kiln {

/// "Kiln 0.1.0, Halide 21.0.0, LLVM 22.1.8"
std::string compiler_version();

}  // namespace kiln
