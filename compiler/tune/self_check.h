#pragma once

#include <string>
#include <vector>

#include "codegen/model.h"

namespace kiln {

/// What check_object() did.
struct ObjectCheck {
  size_t kernels = 0;                  // that ran and agreed
  std::vector<std::string> unchecked;  // targets that this processor cannot run
};

/// Runs an object's kernels, one after the other, on random weights and inputs, and compares some elements of
/// everything they write with an interpretation of their definitions. Throws an InternalError that names the first
/// kernel that computes something else, and its line in the graph file.
ObjectCheck check_object(const std::vector<Model>& variants, const std::string& object);

}  // namespace kiln
