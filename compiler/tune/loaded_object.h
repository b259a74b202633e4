#pragma once

#include <memory>
#include <string>

#include "program.h"

namespace kiln {

/// The functions that kernels call (runtime/program.h), as the loaded object shall find them.
struct RuntimeFunctions {
  decltype(&kiln_parallel_for) parallel_for;
  decltype(&kiln_allocate) allocate;
  decltype(&kiln_release) release;
};

/// A compiled object made executable in this process, by LLVM's linker for such.
class LoadedObject {
 public:
  /// `name` is the model's; throws InternalError if the object cannot be linked.
  LoadedObject(const std::string& object, const std::string& name, const RuntimeFunctions& runtime);
  ~LoadedObject();
  LoadedObject(LoadedObject&&) noexcept;
  LoadedObject& operator=(LoadedObject&&) noexcept;

  const kiln_model& model() const { return *model_; }

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  const kiln_model* model_ = nullptr;
};

/// The model's program of that name ("train", "predict_one"), or null.
const kiln_program* program_of(const kiln_model& model, const std::string& name);

}  // namespace kiln
