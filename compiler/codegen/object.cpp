#include <llvm/Analysis/CGSCCPassManager.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/IR/DIBuilder.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Linker/Linker.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Triple.h>
#include <llvm/Transforms/IPO/ConstantMerge.h>
#include <llvm/Transforms/IPO/GlobalDCE.h>
#include <llvm/Transforms/IPO/Internalize.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include "codegen/descriptor.h"
#include "codegen/kernel_bitcode.h"
#include "codegen/model.h"
#include "codegen/step.h"

namespace kiln {
namespace {

/// "digits_train_conv2d_1_weight_gradient": what profilers and debuggers show.
std::string symbol_of(const Model& model, const Program& program, const Kernel& kernel) {
  std::string symbol = model.name + "_" + program.name + "_" + kernel.name;
  std::replace_if(
      symbol.begin(), symbol.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return symbol;
}

struct KernelJob {
  const Program* program;
  const Kernel* kernel;
  std::string symbol;
  size_t compiled = 0;  // which bitcode: kernels of the same signature share one
};

/// What Halide calls every kernel; linking gives each its own name.
constexpr const char* kKernel = "kernel";

struct Compilation {
  const KernelJob* job;
  std::string signature, bitcode;
  bool cached = false;
};

/// The kernel's bitcode from the cache, or from Halide.
void compile(Compilation& compilation, const std::string& target, const CompileCache& cache) {
  const std::string source = "kernel " + target + "\n" + compilation.signature;
  if (auto found = cache.find(source)) {
    compilation.bitcode = std::move(*found);
    compilation.cached = true;
    return;
  }
  compilation.bitcode = kernel_bitcode(*compilation.job->program, *compilation.job->kernel, kKernel, target);
  cache.store(source, compilation.bitcode);
}

/// One compilation for each signature. They are independent of each other, and their results are taken in order.
std::vector<Compilation> compile_all(std::vector<KernelJob>& kernels, const std::string& target,
                                     const CompileOptions& options) {
  std::vector<Compilation> jobs;
  std::map<std::string, size_t> known;
  for (KernelJob& kernel : kernels) {
    std::string signature = kernel_signature(*kernel.program, *kernel.kernel);
    const auto [at, fresh] = known.try_emplace(signature, jobs.size());
    kernel.compiled = at->second;
    if (fresh) jobs.push_back({&kernel, std::move(signature), ""});
  }
  int threads = options.threads;
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::mutex mutex;
  size_t next = 0;
  std::exception_ptr failure;
  const auto work = [&] {
    while (true) {
      Compilation* job = nullptr;
      {
        const std::lock_guard lock(mutex);
        if (next == jobs.size() || failure) return;
        job = &jobs[next++];
      }
      try {
        compile(*job, target, options.cache);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  std::vector<std::thread> pool;
  for (int i = 1; i < threads; ++i) pool.emplace_back(work);
  work();
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
  if (std::any_of(jobs.begin(), jobs.end(), [](const Compilation& job) { return !job.cached; })) options.cache.trim();
  return jobs;
}

/// Gives every instruction of a kernel the graph line that it came from.
void add_debug_lines(llvm::Module& module, Location location) {
  if (location.line == 0) return;
  llvm::DIBuilder builder(module);
  llvm::DIFile* file = builder.createFile(location.file, ".");  // as the graph's own build named it
  builder.createCompileUnit(llvm::DISourceLanguageName(llvm::dwarf::DW_LANG_C_plus_plus_14), file, "Kiln", true, "", 0);
  llvm::DISubroutineType* type = builder.createSubroutineType(builder.getOrCreateTypeArray({}));
  for (llvm::Function& function : module) {
    if (function.isDeclaration()) continue;
    llvm::DISubprogram* scope = builder.createFunction(
        file, function.getName(), function.getName(), file, static_cast<unsigned>(location.line), type,
        static_cast<unsigned>(location.line), llvm::DINode::FlagZero, llvm::DISubprogram::SPFlagDefinition);
    function.setSubprogram(scope);
    const auto line = llvm::DILocation::get(module.getContext(), static_cast<unsigned>(location.line), 0, scope);
    for (llvm::BasicBlock& block : function) {
      for (llvm::Instruction& instruction : block) instruction.setDebugLoc(line);
    }
  }
  builder.finalize();
  module.addModuleFlag(llvm::Module::Warning, "Debug Info Version", llvm::DEBUG_METADATA_VERSION);
  module.addModuleFlag(llvm::Module::Warning, "Dwarf Version", 5);
}

/// The runtime's names for what kernels call; anything else undefined must be in libm or libc.
void rename_runtime_calls(llvm::Module& module) {
  const std::map<std::string, std::string> names = {
      {"halide_do_par_for", "kiln_parallel_for"}, {"halide_malloc", "kiln_allocate"}, {"halide_free", "kiln_release"}};
  for (llvm::Function& function : module) {
    if (!function.isDeclaration() || function.isIntrinsic()) continue;
    const auto found = names.find(function.getName().str());
    if (found != names.end())
      function.setName(found->second);
    else if (function.getName().starts_with("halide_") && !function.use_empty()) {
      throw InternalError("a kernel needs " + function.getName().str() + ", which the runtime lacks");
    }
  }
}

struct LinkedModule {
  std::unique_ptr<llvm::LLVMContext> context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> module;
  std::unique_ptr<llvm::TargetMachine> machine;
  size_t kernels = 0, cached_kernels = 0;
};

/// Adds one variant's kernels to the module, with their steps. Halide's functions say themselves which processor they
/// are for. `suffix` keeps the symbols of variants apart.
std::vector<StepFunctions> link_variant(LinkedModule& linked, const Model& model, const std::string& suffix,
                                        const CompileOptions& options) {
  std::vector<KernelJob> jobs;
  std::vector<std::vector<std::string>> symbols;
  for (const Program& program : model.programs) {
    symbols.emplace_back();
    for (const Kernel& kernel : program.kernels) {
      symbols.back().push_back(symbol_of(model, program, kernel) + suffix);
      jobs.push_back({&program, &kernel, symbols.back().back()});
    }
  }
  const std::vector<Compilation> compiled = compile_all(jobs, model.target, options);

  llvm::Linker linker(*linked.module);
  linked.kernels += jobs.size();
  for (KernelJob& job : jobs) {
    linked.cached_kernels += compiled[job.compiled].cached;
    auto parsed =
        llvm::parseBitcodeFile(llvm::MemoryBufferRef(compiled[job.compiled].bitcode, job.symbol), *linked.context);
    if (!parsed)
      throw InternalError(
          fmt::format("{}: LLVM cannot read Halide's bitcode: {}", job.symbol, llvm::toString(parsed.takeError())));
    std::unique_ptr<llvm::Module> module = std::move(*parsed);
    if (linked.module->getTargetTriple().empty()) {
      linked.module->setTargetTriple(module->getTargetTriple());
      linked.module->setDataLayout(module->getDataLayout());
    }
    // Flags for Halide's own code generator, which differ between variants.
    if (llvm::NamedMDNode* flags = module->getModuleFlagsMetadata()) module->eraseNamedMetadata(flags);
    // Only the kernel itself is wanted, not Halide's wrapper and metadata.
    llvm::internalizeModule(*module, [&](const llvm::GlobalValue& value) { return value.getName() == kKernel; });
    for (llvm::Function& function : *module) {
      if (function.isDeclaration() || !function.getName().starts_with(kKernel)) continue;
      function.setName(job.symbol + function.getName().drop_front(std::char_traits<char>::length(kKernel)).str());
    }
    add_debug_lines(*module, job.program->graph.node(job.kernel->anchors[0]).location);
    if (linker.linkInModule(std::move(module))) throw InternalError(job.symbol + ": LLVM cannot link it");
  }
  std::vector<StepFunctions> functions;
  for (size_t p = 0; p < model.programs.size(); ++p)
    functions.push_back(build_step(*linked.module, model.programs[p], symbols[p]));
  return functions;
}

LinkedModule link(const std::vector<Model>& variants, const CompileOptions& options) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
  });
  LinkedModule linked;
  linked.module = std::make_unique<llvm::Module>(variants[0].name, *linked.context);
  std::vector<std::vector<StepFunctions>> functions;
  for (size_t v = 0; v < variants.size(); ++v) {
    const std::string suffix = v == 0 ? "" : fmt::format("_variant{}", v + 1);
    functions.push_back(link_variant(linked, variants[v], suffix, options));
  }
  llvm::Module& module = *linked.module;
  build_descriptor(module, variants, functions);
  rename_runtime_calls(module);
  llvm::internalizeModule(
      module, [&](const llvm::GlobalValue& value) { return value.getName() == variants[0].name + "_model"; });

  std::string problem;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(module.getTargetTriple(), problem);
  if (found == nullptr) throw InternalError(problem);
  // Of the plain processor: kernels say what more they use, and the steps between them only call.
  linked.machine.reset(found->createTargetMachine(module.getTargetTriple(), "", "", llvm::TargetOptions(),
                                                  llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  // Halide has optimised the kernels; what is left is to drop the unused and to fold the step around them.
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager function_analyses;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder passes(linked.machine.get());
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(components);
  passes.registerFunctionAnalyses(function_analyses);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, function_analyses, components, modules);
  llvm::ModulePassManager manager;
  manager.addPass(llvm::ConstantMergePass());
  manager.addPass(llvm::GlobalDCEPass());
  manager.run(module, modules);

  std::string message;
  llvm::raw_string_ostream stream(message);
  if (llvm::verifyModule(module, &stream)) throw InternalError("LLVM: " + message);
  return linked;
}

std::string emit(LinkedModule linked, llvm::CodeGenFileType kind) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager manager;
  if (linked.machine->addPassesToEmitFile(manager, stream, nullptr, kind))
    throw InternalError("LLVM cannot write object files for this target");
  manager.run(*linked.module);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

CompiledObject compile_object(const Model& model, const CompileOptions& options) {
  Model variant = model;
  variant.target = kernel_target(options.target);
  return compile_object(std::vector<Model>{std::move(variant)}, options);
}

CompiledObject compile_object(const std::vector<Model>& variants, const CompileOptions& options) {
  LinkedModule linked = link(variants, options);
  CompiledObject object;
  object.kernels = linked.kernels;
  object.cached_kernels = linked.cached_kernels;
  object.bytes = emit(std::move(linked), llvm::CodeGenFileType::ObjectFile);
  return object;
}

std::string compile_assembly(const std::vector<Model>& variants, const CompileOptions& options) {
  return emit(link(variants, options), llvm::CodeGenFileType::AssemblyFile);
}

std::string compile_llvm(const std::vector<Model>& variants, const CompileOptions& options) {
  const LinkedModule linked = link(variants, options);
  std::string text;
  llvm::raw_string_ostream stream(text);
  linked.module->print(stream, nullptr);
  return text;
}

std::string model_header(const Model& model) {
  return fmt::format(
      "/* Written by {0}_compile; do not edit. */\n#pragma once\n\n#include \"program.h\"\n\n"
      "extern const struct kiln_model {0}_model;\n",
      model.name);
}

}  // namespace kiln
