#include "tune/loaded_object.h"

#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/Support/TargetSelect.h>

#include "ir/error.h"

namespace kiln {
namespace {

template <class Value>
Value checked(llvm::Expected<Value> value) {
  if (!value) throw InternalError("a compiled object cannot be loaded: " + llvm::toString(value.takeError()));
  return std::move(*value);
}

void checked(llvm::Error error) {
  if (error) throw InternalError("a compiled object cannot be loaded: " + llvm::toString(std::move(error)));
}

}  // namespace

struct LoadedObject::Parts {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

LoadedObject::LoadedObject(const std::string& object, const std::string& name, const RuntimeFunctions& runtime)
    : parts_(new Parts) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  parts_->jit = checked(llvm::orc::LLJITBuilder().create());
  llvm::orc::SymbolMap symbols;
  const auto define = [&](const char* symbol, auto* function) {
    symbols[parts_->jit->mangleAndIntern(symbol)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                                                     llvm::JITSymbolFlags::Exported};
  };
  define("kiln_parallel_for", runtime.parallel_for);
  define("kiln_allocate", runtime.allocate);
  define("kiln_release", runtime.release);
  checked(parts_->jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(symbols)));
  checked(parts_->jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object, name)));
  model_ = checked(parts_->jit->lookup(name + "_model")).toPtr<const kiln_model*>();
}

LoadedObject::~LoadedObject() = default;
LoadedObject::LoadedObject(LoadedObject&&) noexcept = default;
LoadedObject& LoadedObject::operator=(LoadedObject&&) noexcept = default;

const kiln_program* program_of(const kiln_model& model, const std::string& name) {
  for (const kiln_program* program : {model.train, model.evaluate, model.predict, model.predict_one}) {
    if (program != nullptr && program->name == name) return program;
  }
  return nullptr;
}

}  // namespace kiln
