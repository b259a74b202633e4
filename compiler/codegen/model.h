#pragma once

#include <string>
#include <vector>

#include "codegen/compile_cache.h"
#include "passes/program.h"

namespace kiln {

/// Everything that becomes generated/<name>/<name>.o.
struct Model {
  std::string name;
  Graph graph;        // as the user wrote it
  Graph state_graph;  // whose parameters make up the state
  StateLayout state;
  std::vector<Program> programs;  // "train", "evaluate", "predict", "predict_one": what there is of them
  std::string fingerprint;
  std::string target;  // of the kernels: what kernel_target() returned
  std::string summary, summary_json, dot, svg, gradient_dot, gradient_svg;
  std::string structure;  // driver/structure.h
};

struct CompileOptions {
  std::string target = "host";  // one that kernel_target() takes
  int threads = 0;              // compiling kernels in parallel; 0: one for each processor
  CompileCache cache = {};      // of kernels' bitcode
};

struct CompiledObject {
  std::string bytes;                       // of the object file
  size_t kernels = 0, cached_kernels = 0;  // in it, and how many of them the cache had
};

/// Compiles every kernel through Halide and links them with the static step by LLVM.
CompiledObject compile_object(const Model& model, const CompileOptions& options);

/// One object for several processors. The variants are the same graph for the targets in their `target`, the most
/// capable first; <name>_model is the first, and each knows the next (runtime/program.h). `options.target` is not read.
CompiledObject compile_object(const std::vector<Model>& variants, const CompileOptions& options);

/// The same module as text, after linking: for people.
std::string compile_assembly(const std::vector<Model>& variants, const CompileOptions& options);
std::string compile_llvm(const std::vector<Model>& variants, const CompileOptions& options);

/// The header that declares <name>_model.
std::string model_header(const Model& model);

}  // namespace kiln
