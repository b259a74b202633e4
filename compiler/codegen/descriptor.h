#pragma once

#include <llvm/IR/Module.h>

#include "codegen/model.h"
#include "codegen/step.h"

namespace kiln {

/// Writes the constant tables of runtime/program.h into the module: the symbol <name>_model of the first variant, and
/// from each the way to the next. `functions` has those of every variant's programs.
void build_descriptor(llvm::Module& module, const std::vector<Model>& variants,
                      const std::vector<std::vector<StepFunctions>>& functions);

}  // namespace kiln
