#pragma once

#include <llvm/IR/Module.h>

#include "codegen/model.h"

namespace kiln {

/// What a program becomes in the module: one function a kernel and the prepare and step that call them in order, all of
/// the type kiln_function (runtime/program.h). Where updates are copied after the kernels, one more function at the end
/// does that.
struct StepFunctions {
  std::vector<llvm::Function*> kernels;
  llvm::Function* prepare = nullptr;  // where the program has prepared kernels
  llvm::Function* step = nullptr;
};

/// Builds the static step: constant buffer descriptors, direct calls, in-place addresses.
StepFunctions build_step(llvm::Module& module, const Program& program, const std::vector<std::string>& kernel_symbols);

}  // namespace kiln
