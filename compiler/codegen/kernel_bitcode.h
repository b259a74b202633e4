#pragma once

#include <string>

#include "codegen/model.h"
#include "codegen/target.h"  // IWYU pragma: export
#include "schedule/knobs.h"

namespace kiln {

/// One kernel through Halide: LLVM bitcode that defines `symbol`.
std::string kernel_bitcode(const Program& program, const Kernel& kernel, const std::string& symbol,
                           const std::string& target);

/// Two kernels with the same signature compute the same from their leaves, in the same way: one compilation serves
/// both.
std::string kernel_signature(const Program& program, const Kernel& kernel);

/// The kernel's loop nest as Halide lowered it, for people.
std::string kernel_statement(const Program& program, const Kernel& kernel, const std::string& target);

/// The kernel's loops, a few lines.
std::string kernel_loop_nest(const Program& program, const Kernel& kernel, const std::string& target);

/// f32 elements of a vector register.
int target_vector(const std::string& target);

/// The choices of the kernel's schedule, with what else was possible.
std::vector<Knob> kernel_knobs(const Program& program, const Kernel& kernel, const std::string& target);

}  // namespace kiln
