#include "codegen/kernel_bitcode.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "ops/scalar.h"
#include "passes/cost.h"
#include "schedule/recipe.h"

// Halide.h declares only the variant that prints to standard error.
namespace Halide::Internal {
std::string print_loop_nest(const std::vector<Function>& outputs);
}

namespace kiln {
namespace {

/// A file that Halide writes, read back and removed.
class ScratchFile {
 public:
  explicit ScratchFile(const char* suffix) {
    std::string name = (std::filesystem::temp_directory_path() / "kiln-XXXXXX").string() + suffix;
    const int file = mkstemps(name.data(), static_cast<int>(std::char_traits<char>::length(suffix)));
    if (file < 0) throw std::runtime_error("cannot create a temporary file " + name);
    close(file);
    path_ = name;
  }
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::string& path() const { return path_; }
  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

 private:
  std::string path_;
};

/// Nothing that Halide says goes to the terminal. What it warns of are its checks at run time (where a kernel of one
/// column meets padded ones it takes a guarded read for one outside), which kernels are compiled without: a build runs
/// and checks them itself.
class Quiet : public Halide::CompileTimeErrorReporter {
  void warning(const char*) override {}
  void error(const char* message) override { throw Halide::CompileError(message); }
};

/// Halide's own errors here are Kiln's: the graph was verified before.
template <class Work>
auto guarded(const Kernel& kernel, Work work) {
  static Quiet quiet;
  static const bool installed = (Halide::set_custom_compile_time_error_reporter(&quiet), true);
  static_cast<void>(installed);
  try {
    return work();
  } catch (const Halide::Error& error) {
    throw InternalError(fmt::format("kernel {}: {}", kernel.name, error.what()));
  }
}

}  // namespace

std::string kernel_bitcode(const Program& program, const Kernel& kernel, const std::string& symbol,
                           const std::string& target) {
  return guarded(kernel, [&] {
    ScheduledKernel scheduled = schedule(program, kernel, Halide::Target(target));
    const ScratchFile file(".bc");
    scheduled.pipeline.compile_to_bitcode(file.path(), scheduled.arguments, symbol, Halide::Target(target));
    return file.contents();
  });
}

std::string kernel_signature(const Program& program, const Kernel& kernel) {
  std::map<NodeId, size_t> numbers;
  const auto number = [&](NodeId id) { return numbers.try_emplace(id, numbers.size()).first->second; };
  const auto type_of = [&](NodeId id) {
    const Type& type = program.graph.node(id).type;
    return to_string(type.shape) + to_string(type.element);
  };
  std::string text = fmt::format("{} {} {}\n", program.batch, program.lanes, to_string(program.precision));
  for (NodeId leaf : kernel.leaves) {
    const Node& node = program.graph.node(leaf);
    text += fmt::format("{} = {} {}\n", number(leaf), type_of(leaf),
                        node.op == &scalar_operator ? std::get<std::string>(node.attributes.at("name")) : "");
  }
  for (NodeId id : nodes_inside(program, kernel)) {
    const Node& node = program.graph.node(id);
    text += fmt::format("{} = {}", number(id), node.op->name);
    for (NodeId input : node.inputs) text += fmt::format(" {}", number(input));
    for (const auto& [name, value] : node.attributes) text += " " + name + "=" + to_string(value);
    text += " " + type_of(id) + "\n";
  }
  for (NodeId id : kernel.anchors) text += fmt::format("anchor {}\n", number(id));
  for (NodeId id : kernel.roots) text += fmt::format("root {}\n", number(id));
  for (NodeId id : kernel.row_sums) text += fmt::format("row sum {}\n", number(id));
  for (const auto& [knob, value] : kernel.schedule) text += fmt::format("knob {}={}\n", knob, value);
  return text;
}

std::string kernel_statement(const Program& program, const Kernel& kernel, const std::string& target) {
  return guarded(kernel, [&] {
    ScheduledKernel scheduled = schedule(program, kernel, Halide::Target(target));
    const ScratchFile file(".stmt");
    scheduled.pipeline.compile_to_lowered_stmt(file.path(), scheduled.arguments, Halide::Text, Halide::Target(target));
    return file.contents();
  });
}

std::string kernel_loop_nest(const Program& program, const Kernel& kernel, const std::string& target) {
  return guarded(kernel, [&] {
    std::vector<Halide::Internal::Function> outputs;
    for (const Halide::Func& output : schedule(program, kernel, Halide::Target(target)).pipeline.outputs())
      outputs.push_back(output.function());
    return Halide::Internal::print_loop_nest(outputs);
  });
}

int target_vector(const std::string& target) { return machine_of(Halide::Target(target)).vector; }

std::vector<Knob> kernel_knobs(const Program& program, const Kernel& kernel, const std::string& target) {
  return guarded(kernel, [&] { return schedule(program, kernel, Halide::Target(target)).knobs; });
}

}  // namespace kiln
