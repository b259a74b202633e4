#pragma once

#include <string>

#include "passes/program.h"

namespace kiln {

/// One node a line: "%12 = conv2d(%0, %1, %2) {...} : Nx26x26x32  # conv2d, digits.cpp:9".
std::string print(const Graph& graph);

/// Kernels in order with what they read, compute and write, and where the buffers are.
std::string print(const Program& program);

/// 16 hexadecimal digits over operators, attributes, shapes and names; equal graphs have equal ones on every machine.
std::string fingerprint(const Graph& graph);

}  // namespace kiln
