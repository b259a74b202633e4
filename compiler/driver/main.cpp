// The compiler of one graph: linked with the graph's file, it writes <name>.o, <name>.h and the pictures.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "codegen/compile_cache.h"
#include "codegen/kernel_bitcode.h"
#include "codegen/model.h"
#include "codegen/schedule_requests.h"
#include "codegen/target.h"
#include "command.h"
#include "compiler_id.h"
#include "driver/documentation.h"
#include "driver/explain.h"
#include "driver/picture.h"
#include "driver/pipeline.h"
#include "driver/print.h"
#include "driver/schedules.h"
#include "driver/version.h"
#include "error.h"
#include "interrupt.h"
#include "tune/self_check.h"
#include "tune/tuner.h"

kiln::Graph kiln_graph();
extern "C" const char* kiln_schedule_file();  // of this graph, an absolute path

namespace {

using namespace kiln;

struct Options {
  std::string out, target = "host", dump, kernel, schedule_file, precision, cache, explain;
  std::vector<std::string> schedule;
  bool list_schedules = false;
  double autotune_seconds = 0;
  int threads = 0;
  int64_t seed = 0;
  bool quiet = false, json = false;
};

CompileOptions compile_options(const Options& options, const std::string& target) {
  const std::string folder = options.cache.empty()     ? default_cache_folder()
                             : options.cache == "none" ? ""
                                                       : options.cache;
  return {
      .target = target, .threads = options.threads, .cache = {folder, compiler_version() + ", " + KILN_COMPILER_ID}};
}

/// Where a file is written, next to its destination, until it is whole.
std::filesystem::path temporary_of(const std::filesystem::path& path) {
  return path.string() + ".tmp" + std::to_string(getpid());
}

/// Writes next to the destination, then renames: a failed build leaves the old file.
void write_file(const std::filesystem::path& path, const std::string& contents) {
  const std::filesystem::path temporary = temporary_of(path);
  std::ofstream file(temporary, std::ios::binary);
  file << contents;
  file.close();
  if (!file) {
    std::filesystem::remove(temporary);
    throw std::runtime_error("cannot write " + path.string());
  }
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) {
    std::filesystem::remove(temporary);
    throw std::runtime_error("cannot write " + path.string() + ": " + error.message());
  }
}

void require_writable(const std::filesystem::path& path) {
  const bool opens = std::ofstream(temporary_of(path)).is_open();
  std::error_code error;
  std::filesystem::remove(temporary_of(path), error);
  if (!opens || std::filesystem::is_directory(path)) throw std::runtime_error("cannot write " + path.string());
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error("cannot read " + path);
  return text.str();
}

/// The kernels' target, where a command is about the kernels of one.
const std::string& only_target(const std::vector<Model>& variants, const std::string& command) {
  if (variants.size() > 1)
    throw UserError(fmt::format("{} is about one target; --target names {}", command, variants.size()));
  return variants[0].target;
}

/// Prints one stage: graph, gradient, program, recipes, stmt, llvm, asm, dot, gradient-dot or operators.
void dump(const Options& options, const std::vector<Model>& variants) {
  const std::string& stage = options.dump;
  const Model& model = variants[0];
  const CompileOptions compile = compile_options(options, model.target);
  if (stage == "graph")
    std::cout << print(model.graph);
  else if (stage == "gradient")
    std::cout << print(model.state_graph);
  else if (stage == "operators")
    std::cout << operator_table();
  else if (stage == "dot")
    std::cout << model.dot;
  else if (stage == "gradient-dot")
    std::cout << model.gradient_dot;
  else if (stage == "llvm")
    std::cout << compile_llvm(variants, compile);
  else if (stage == "asm")
    std::cout << compile_assembly(variants, compile);
  else {
    bool found = false;
    if (stage != "program") only_target(variants, "--dump " + stage);
    for (const Program& program : model.programs) {
      if (stage == "program") std::cout << print(program);
      if (stage != "stmt" && stage != "recipes") continue;
      for (const Kernel& kernel : program.kernels) {
        if (!options.kernel.empty() && kernel.name != options.kernel) continue;
        found = true;
        std::cout << program.name << ' ' << kernel.name << ": ";
        if (stage == "recipes")
          std::cout << to_string(kernel_knobs(program, kernel, model.target)) << '\n';
        else
          std::cout << '\n' << kernel_statement(program, kernel, model.target);
      }
    }
    if (stage != "program" && !found)
      throw UserError("there is no kernel '" + options.kernel + "'; see --dump recipes");
  }
}

/// The graph in the precision that was asked for, or its own.
Graph graph_of(const Options& options) {
  Graph graph = kiln_graph();
  if (!options.precision.empty()) graph.precision = options.precision == "mixed" ? Precision::mixed : Precision::f32;
  return graph;
}

/// Beside the graph's own file, where it can be kept with it: graphs/digits.schedule.
std::string schedule_path(const Options& options) {
  if (!options.schedule_file.empty()) return options.schedule_file == "none" ? "" : options.schedule_file;
  const std::string path = kiln_schedule_file();
  const std::string from_here = std::filesystem::path(path).lexically_proximate(std::filesystem::current_path());
  return from_here.starts_with("..") ? path : from_here;
}

/// The model for each target, with the schedules that were asked for; the most capable target first.
std::vector<Model> variants_of(const Options& options, const Model& model) {
  const std::string path = schedule_path(options);
  std::vector<ScheduleRequest> requests;
  // One that is named must be there, unless it is about to be written.
  const bool expected = !options.schedule_file.empty() && options.autotune_seconds == 0;
  if (!path.empty() && (expected || std::filesystem::exists(path))) requests = read_schedule_file(path);
  for (const std::string& text : options.schedule) requests.push_back(parse_schedule_request(text, "--schedule"));
  std::vector<Model> variants;
  for (const std::string& target : kernel_targets(options.target)) {
    variants.push_back(with_schedules(model, requests, target));
    variants.back().target = target;
  }
  return variants;
}

int autotune(const Options& options, const Model& model) {
  const std::string path = schedule_path(options);
  if (path.empty()) throw UserError("--autotune has nowhere to write: --schedule-file is none");
  require_writable(path);  // before the search, not after it
  const Interrupt interrupt;
  TuneOptions tune;
  tune.seconds = options.autotune_seconds;
  tune.threads = options.threads;
  tune.compile = compile_options(options, model.target);
  tune.stop = &Interrupt::requested;
  TuneTable table(std::cout, standard_output_style());
  if (!options.quiet && !options.json)
    tune.progress = [&](const std::vector<TunedKernel>& kernels, double elapsed) { table.show(kernels, elapsed); };
  const TuneResult result = kiln::autotune(model, tune);
  if (!result.kernels.empty()) {
    write_file(path, with_tuned(std::filesystem::exists(path) ? read_file(path) : "", result.kernels));
  }
  if (options.json) {
    std::cout << to_json(result) << '\n';
  } else if (!options.quiet) {
    std::cout << tune_summary(result, path);
  }
  return 0;
}

int compile(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Model> variants = variants_of(options, build_model(graph_of(options)));
  Model& model = variants[0];
  if (options.autotune_seconds > 0) {
    only_target(variants, "--autotune");
    return autotune(options, model);
  }
  if (!options.explain.empty()) {
    only_target(variants, "--explain");
    std::cout << explain(model, options.explain, compile_options(options, model.target));
    return 0;
  }
  if (options.list_schedules) {
    std::cout << schedule_table(model, only_target(variants, "--list-schedules"));
    return 0;
  }
  if (!options.dump.empty()) {
    dump(options, variants);
    return 0;
  }
  const CompileOptions compile = compile_options(options, model.target);
  // In this order: a large graph that is not the first that Graphviz 2.43 lays out comes out differently every time.
  model.gradient_svg = render_svg(model.gradient_dot, compile.cache);
  model.svg = render_svg(model.dot, compile.cache);
  for (Model& variant : variants) variant.svg = model.svg, variant.gradient_svg = model.gradient_svg;
  const std::filesystem::path folder =
      options.out.empty() ? std::filesystem::path("generated") / model.name : std::filesystem::path(options.out);
  std::filesystem::create_directories(folder);
  const CompiledObject object = compile_object(variants, compile);
  const ObjectCheck check = check_object(variants, object.bytes);  // a wrong one is never put in place
  write_file(folder / (model.name + ".h"), model_header(model));
  write_file(folder / (model.name + ".dot"), model.dot);
  write_file(folder / (model.name + ".svg"), model.svg);
  write_file(folder / (model.name + "_gradient.dot"), model.gradient_dot);
  write_file(folder / (model.name + "_gradient.svg"), model.gradient_svg);
  write_file(folder / (model.name + ".o"), object.bytes);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options.json) {
    print_json(std::cout, nlohmann::json{{"graph", model.name},
                                         {"fingerprint", model.fingerprint},
                                         {"precision", to_string(model.graph.precision)},
                                         {"kernels", object.kernels},
                                         {"cached_kernels", object.cached_kernels},
                                         {"checked_kernels", check.kernels},
                                         {"unchecked_targets", check.unchecked},
                                         {"state_bytes", model.state.bytes},
                                         {"object", (folder / (model.name + ".o")).string()},
                                         {"object_bytes", object.bytes.size()},
                                         {"seconds", seconds}});
  } else if (!options.quiet) {
    std::cout << fmt::format(
        "{}: {} programs, {} kernels ({} from the cache), {} bytes of state -> {} ({} bytes) in {:.1f} s\n", model.name,
        model.programs.size(), object.kernels, object.cached_kernels, model.state.bytes,
        (folder / (model.name + ".o")).string(), object.bytes.size(), seconds);
    for (const std::string& target : check.unchecked)
      std::cout << fmt::format("{}: not checked, since this processor cannot run it: {}\n", model.name, target);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string program = std::filesystem::path(argv[0]).filename().string();
  Options options;
  CLI::App app{"Compiles one computation graph to <out>/<graph>.o: forward, backward and optimizer as native code.",
               program};
  app.add_option("--out", options.out, "Folder for <graph>.o, <graph>.h and the pictures (default: generated/<graph>)");
  app.add_option("--target", options.target,
                 "Processor of the kernels: host (default), sse41, avx2, avx512, arm64 or a Halide target; of several, "
                 "such as avx2,avx512, the program takes the best that its processor has");
  app.add_option("--precision", options.precision,
                 "f32, or mixed: products of bf16 with sums in f32, where that pays (default: what the graph's train() "
                 "says)")
      ->check(CLI::IsMember({"f32", "mixed"}));
  app.add_option("--threads", options.threads, "Kernels compiled at a time (default: one for each processor)")
      ->check(number_from(0, 1024));
  app.add_option("--cache", options.cache,
                 "Folder that keeps compiled kernels for the next time, or none (default: $KILN_CACHE, else "
                 "$XDG_CACHE_HOME/kiln, else ~/.cache/kiln)");
  CLI::Option* const dump =
      app.add_option("--dump", options.dump,
                     "Print a stage instead of compiling: graph, gradient, program, recipes, stmt, llvm, asm, dot, "
                     "gradient-dot, operators")
          ->check(CLI::IsMember(
              {"graph", "gradient", "program", "recipes", "stmt", "llvm", "asm", "dot", "gradient-dot", "operators"}));
  app.add_option("--kernel", options.kernel,
                 "With --dump recipes or stmt: only this kernel, such as conv2d_1.weight_gradient")
      ->needs(dump);
  CLI::Option* const explain = app.add_option(
      "--explain", options.explain,
      "Print one page on a kernel, such as conv2d_1.forward or predict/dense.forward: its lines in the graph "
      "file, what it computes and why there, buffers, loops, schedule, predicted and measured time");
  app.add_option("--schedule", options.schedule,
                 "Set knobs of a kernel's schedule: conv2d_1.forward:recipe=winograd,tile=6 (may be repeated)");
  app.add_option("--schedule-file", options.schedule_file,
                 "File of such settings, one kernel a line, or none (default: <graph file>.schedule where it exists)");
  CLI::Option* const list =
      app.add_flag("--list-schedules", options.list_schedules,
                   "Print every kernel with its recipe, its knobs, their values and what else is legal");
  CLI::Option* const autotune =
      app.add_option("--autotune", options.autotune_seconds,
                     "Search the knobs on this machine for so many seconds (Ctrl-C ends it early), and write what is "
                     "faster to the schedule file, for later builds to use")
          ->check(number_from(0.001, 1e9));
  app.add_option("--seed", options.seed, "Accepted like the trainer's; compiling draws no random numbers")
      ->check(number_from(0, 2'147'483'647));
  app.add_flag("--quiet", options.quiet, "Print errors only, not even with --json");
  CLI::Option* const json = app.add_flag("--json", options.json, "Print one JSON object when done");
  for (CLI::Option* command : {dump, explain, list, autotune}) {
    for (CLI::Option* other : {dump, explain, list, autotune}) {
      if (other != command) command->excludes(other);
    }
    if (command != autotune) command->excludes(json);  // they print text
  }
  add_config_file(app);
  app.set_version_flag("--version", compiler_version());
  app.footer("Examples:\n  " + program + " --out generated/digits\n  " + program + " --dump program | less\n  " +
             program + " --dump stmt --kernel conv2d_1.weight_gradient\n  " + program +
             " --explain conv2d_1.forward\n  " + program + " --list-schedules | less\n  " + program +
             " --schedule conv2d_1.forward:recipe=rows,tile=6\n  " + program +
             " --autotune 60\n\nExit codes: 0 done, 1 failure, 2 usage or graph error.");
  return run_command(program, std::cout, std::cerr, [&] {
    if (const std::optional<std::string> text = parse_flags(app, {argv + 1, argv + argc})) {
      std::cout << *text;
      return 0;
    }
    if (!options.kernel.empty() && options.dump != "recipes" && options.dump != "stmt")
      throw UsageError("--kernel is about --dump recipes and --dump stmt; see --help");
    if (options.quiet) options.json = false;
    try {
      return compile(options);
    } catch (const UserError& error) {  // with its place in the graph file, and that line
      std::cerr << error.what() << '\n';
      return static_cast<int>(ExitCode::usage);
    }
  });
}
