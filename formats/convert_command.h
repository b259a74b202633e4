#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "command.h"

namespace kiln {

/// The command line of kiln_convert: translates between .kiln, .h5, .keras and .safetensors. The translation runs in a
/// child process with limits on memory, time and open files, and without core dumps; what kills it is an error in one
/// line here. Returns the exit code.
int convert_command(const std::vector<std::string>& arguments, const CommandEnvironment& environment);

/// What the child computes: the bytes of the other format. `like` is a .kiln file's bytes, or empty.
std::string convert(const std::string& bytes, const std::string& origin, const std::string& from, const std::string& to,
                    const std::string& like, const std::string& like_origin);

}  // namespace kiln
