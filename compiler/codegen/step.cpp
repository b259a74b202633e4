#include "codegen/step.h"

#include <HalideRuntime.h>
#include <llvm/IR/IRBuilder.h>

#include "lower/affine.h"
#include "ops/scalar.h"

namespace kiln {
namespace {

// halide_buffer_t, Halide's ABI for buffers: device, device_interface, host, flags, type, dimensions, dim, padding.
constexpr int kHostField = 2;

class StepBuilder {
 public:
  StepBuilder(llvm::Module& module, const Program& program)
      : module_(module), program_(program), context_(module.getContext()), builder_(context_) {
    pointer_ = llvm::PointerType::get(context_, 0);
    i8_ = builder_.getInt8Ty();
    i32_ = builder_.getInt32Ty();
    i64_ = builder_.getInt64Ty();
    const auto type = llvm::StructType::get(context_, {i8_, i8_, builder_.getInt16Ty()});
    buffer_ = llvm::StructType::get(context_, {i64_, pointer_, pointer_, i64_, type, i32_, pointer_, pointer_});
    function_ = llvm::FunctionType::get(builder_.getVoidTy(), {pointer_, pointer_, pointer_, pointer_}, false);
  }

  StepFunctions build(const std::vector<std::string>& symbols) {
    StepFunctions functions;
    for (size_t k = 0; k < program_.kernels.size(); ++k)
      functions.kernels.push_back(kernel(program_.kernels[k], symbols[k]));
    if (!program_.copies.empty()) functions.kernels.push_back(copies());
    const auto prepared = functions.kernels.begin() + program_.prepared;
    if (program_.prepared > 0) {
      functions.prepare = calls(program_.name + "_prepare", {functions.kernels.begin(), prepared});
      builder_.CreateRetVoid();
    }
    functions.step = calls(program_.name + "_step", {prepared, functions.kernels.end()});
    builder_.CreateRetVoid();
    return functions;
  }

 private:
  llvm::Function* begin(const std::string& name, llvm::GlobalValue::LinkageTypes linkage) {
    llvm::Function* function = llvm::Function::Create(function_, linkage, name, module_);
    builder_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", function));
    return function;
  }

  /// A function that calls the kernels in order, open at its end.
  llvm::Function* calls(const std::string& name, const std::vector<llvm::Function*>& kernels) {
    llvm::Function* function = begin(name, llvm::GlobalValue::InternalLinkage);
    for (llvm::Function* kernel : kernels) {
      builder_.CreateCall(kernel, {function->getArg(0), function->getArg(1), function->getArg(2), function->getArg(3)});
    }
    return function;
  }

  llvm::Value* at(llvm::Value* base, int64_t offset) {
    return builder_.CreateConstGEP1_64(i8_, base, static_cast<uint64_t>(offset));
  }

  llvm::Value* address(llvm::Function* function, NodeId id) {
    const Placement& placement = program_.placements[id];
    switch (placement.kind) {
      case Placement::Kind::arena:
        return at(function->getArg(1), placement.offset);
      case Placement::Kind::state:
        return at(function->getArg(2), placement.offset);
      default:
        throw InternalError(fmt::format("node {} has no address", id));
    }
  }

  /// The constant part of a buffer descriptor; only the host address is known at run time.
  llvm::Constant* descriptor(const Node& node) {
    std::vector<llvm::Constant*> dims;
    const auto dim_type = llvm::StructType::get(context_, {i32_, i32_, i32_, i32_});
    int stride = 1;
    for (int extent : storage_extents(node.type.shape, program_.lanes)) {
      dims.push_back(llvm::ConstantStruct::get(
          dim_type, {builder_.getInt32(0), builder_.getInt32(static_cast<uint32_t>(extent)),
                     builder_.getInt32(static_cast<uint32_t>(stride)), builder_.getInt32(0)}));
      stride *= extent;
    }
    const uint32_t rank = static_cast<uint32_t>(dims.size());
    llvm::Constant* dim = llvm::ConstantPointerNull::get(pointer_);
    if (rank > 0) {
      const auto array = llvm::ConstantArray::get(llvm::ArrayType::get(dim_type, rank), dims);
      dim = new llvm::GlobalVariable(module_, array->getType(), true, llvm::GlobalValue::PrivateLinkage, array, "dims");
    }
    const auto null = llvm::ConstantPointerNull::get(pointer_);
    const ElementType element = node.type.element;
    const halide_type_code_t code = element == ElementType::real   ? halide_type_float
                                    : element == ElementType::bf16 ? halide_type_bfloat
                                                                   : halide_type_int;
    const auto type =
        llvm::ConstantStruct::get(llvm::cast<llvm::StructType>(buffer_->getElementType(4)),
                                  {builder_.getInt8(static_cast<uint8_t>(code)),
                                   builder_.getInt8(element == ElementType::bf16 ? 16 : 32), builder_.getInt16(1)});
    return llvm::ConstantStruct::get(
        buffer_, {builder_.getInt64(0), null, null, builder_.getInt64(0), type, builder_.getInt32(rank), dim, null});
  }

  llvm::Function* kernel(const Kernel& kernel, const std::string& symbol) {
    llvm::Function* callee = module_.getFunction(symbol);
    if (callee == nullptr) throw InternalError("no function " + symbol);
    llvm::Function* function = begin(symbol + "_run", llvm::GlobalValue::InternalLinkage);
    // kiln_scalars: learning_rate, step, seed, count, label_smoothing.
    std::vector<llvm::Value*> arguments = {function->getArg(0)};
    for (int field = 0; field < 5; ++field) {
      llvm::Type* type = field == 0 || field == 4 ? builder_.getFloatTy() : static_cast<llvm::Type*>(i32_);
      arguments.push_back(builder_.CreateLoad(type, at(function->getArg(3), 4 * field)));
    }
    std::vector<NodeId> buffers;
    for (NodeId leaf : kernel.leaves) {
      if (program_.graph.node(leaf).op != &scalar_operator) buffers.push_back(leaf);
    }
    buffers.insert(buffers.end(), kernel.roots.begin(), kernel.roots.end());
    for (NodeId id : buffers) {
      llvm::Value* buffer = builder_.CreateAlloca(buffer_);
      builder_.CreateStore(descriptor(program_.graph.node(id)), buffer);
      builder_.CreateStore(address(function, id), builder_.CreateStructGEP(buffer_, buffer, kHostField));
      arguments.push_back(buffer);
    }
    if (callee->arg_size() != arguments.size()) {
      throw InternalError(fmt::format("{} takes {} arguments, not {}", symbol, callee->arg_size(), arguments.size()));
    }
    builder_.CreateCall(callee, arguments);
    builder_.CreateRetVoid();
    return function;
  }

  /// The updates that are written when nobody needs the old values any more.
  llvm::Function* copies() {
    llvm::Function* function =
        begin(module_.getName().str() + "_" + program_.name + "_copies_run", llvm::GlobalValue::InternalLinkage);
    for (const Copy& copy : program_.copies) {
      builder_.CreateMemCpy(at(function->getArg(2), copy.state_offset), llvm::Align(64), address(function, copy.from),
                            llvm::Align(64), static_cast<uint64_t>(copy.bytes));
    }
    builder_.CreateRetVoid();
    return function;
  }

  llvm::Module& module_;
  const Program& program_;
  llvm::LLVMContext& context_;
  llvm::IRBuilder<> builder_;
  llvm::PointerType* pointer_;
  llvm::Type *i8_, *i32_, *i64_;
  llvm::StructType* buffer_;
  llvm::FunctionType* function_;
};

}  // namespace

StepFunctions build_step(llvm::Module& module, const Program& program, const std::vector<std::string>& kernel_symbols) {
  return StepBuilder(module, program).build(kernel_symbols);
}

}  // namespace kiln
