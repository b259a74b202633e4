#pragma once

#include <string>
#include <vector>

namespace kiln {

/// The Halide target of generated kernels: no runtime and no checks of its own, a user context in every call.
/// `requested` is "host", a short name such as "avx2" or "arm64", or a Halide target such as x86-64-linux-avx2-fma.
/// Throws a UserError for anything else, and for processors and features that the runtime cannot tell apart.
std::string kernel_target(const std::string& requested);

/// The targets of a list between commas, each once; one that has all of another's features comes before it. Throws a
/// UserError for targets that one program cannot hold together.
std::vector<std::string> kernel_targets(const std::string& list);

}  // namespace kiln
