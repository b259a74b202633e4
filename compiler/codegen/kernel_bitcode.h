#pragma once

#include <string>

#include "codegen/model.h"

namespace kiln {

/// The Halide target of generated kernels: no runtime and no checks of its own, a user context in every call.
std::string kernel_target(const std::string& requested);

/// One kernel through Halide: LLVM bitcode that defines `symbol`.
std::string kernel_bitcode(const Program& program, const Kernel& kernel, const std::string& symbol,
                           const std::string& target);

/// Two kernels with the same signature compute the same from their leaves, in the same way: one compilation serves
/// both.
std::string kernel_signature(const Program& program, const Kernel& kernel);

/// The kernel's loop nest as Halide lowered it, for people.
std::string kernel_statement(const Program& program, const Kernel& kernel, const std::string& target);

/// The recipe that was chosen for the kernel, with its numbers.
std::string kernel_recipe(const Program& program, const Kernel& kernel);

}  // namespace kiln
