#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "command.h"

namespace kiln {

/// The command line of kiln_convert: translates between .kiln and other tools' formats, and an .onnx into a graph file.
/// The translation runs in a child process with limits on memory, time and open files, and without core dumps; what
/// kills it is an error in one line here. Returns the exit code.
int convert_command(const std::vector<std::string>& arguments, const CommandEnvironment& environment);

/// What the child computes.
struct Conversion {
  std::string bytes, origin, from;  // a file, its name in errors, its format: kiln, h5, keras, safetensors, onnx
  std::string to;                   // one of these, or cpp for a graph file
  std::string like, like_origin;    // a .kiln file of the same network, or empty
  std::string name, loss;           // of a graph file: the graph's name, the loss it is trained on
};
/// The bytes of the other format.
std::string convert(const Conversion& conversion);

}  // namespace kiln
