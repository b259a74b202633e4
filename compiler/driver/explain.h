#pragma once

#include <string>

#include "codegen/model.h"

namespace kiln {

/// One page on a kernel for people: the graph lines that it comes from, its nodes and why they are in it, what it reads
/// and writes, its loops, its schedule, and its predicted and measured time. `name` is the kernel's, or program/name;
/// without a program the first that has it is taken. Compiles the model and runs the kernel, unless the target is
/// another machine's. Throws a UserError with similar names if there is none of that name.
std::string explain(const Model& model, const std::string& name, const CompileOptions& options);

}  // namespace kiln
