#pragma once

#include <llvm/IR/Module.h>

#include "codegen/model.h"
#include "codegen/step.h"

namespace kiln {

/// Writes the constant tables of runtime/program.h into the module: the symbol <name>_model.
void build_descriptor(llvm::Module& module, const Model& model, const std::vector<StepFunctions>& functions);

}  // namespace kiln
