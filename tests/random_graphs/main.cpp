// The long form of the random graphs: compiles, trains and compares any number of them, every variant of each.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>

#include "random_graphs/check.h"
#include "random_graphs/generate.h"
#include "random_graphs/shrink.h"

using namespace kiln;
using namespace kiln::testing;

namespace {

struct Arguments {
  uint64_t seed = 1;
  int graphs = 100, shrink = 60, layers = 0;
  double seconds = 0;
  std::string variant;
  std::vector<std::string> programs = CheckOptions{}.programs;
  bool some = false, interpret = false, show = false, verbose = false;
};

Sketch sketch_of(const Arguments& arguments, uint64_t seed) {
  return arguments.layers > 0 ? random_sketch(seed, arguments.layers) : random_sketch(seed);
}

/// Prints what differs, the line that repeats it and the smallest graph that still does it.
void report(const Arguments& arguments, uint64_t seed, const Variant& variant, const Mismatch& mismatch) {
  std::cout << "\ngraph " << seed << ", " << variant.name << ": "
            << (mismatch.program.empty() ? "not compiled" : mismatch.program) << ": " << mismatch.message
            << "\nrepeat: build/kiln_random_graphs --graphs 1 --seed " << seed << " --variant " << variant.name
            << (arguments.layers > 0 ? fmt::format(" --layers {}", arguments.layers) : "")
            << (arguments.interpret ? " --interpret" : "") << '\n';
  CheckOptions options = {.seed = seed, .programs = arguments.programs, .interpret = arguments.interpret};
  if (!mismatch.program.empty()) options.programs = {mismatch.program};
  const auto fails = [&](const Sketch& sketch) {
    const auto found = check(sketch, variant, options);
    // The same kind of failure: one that was not compiled must not become one that differs, nor another error.
    if (!found || found->program != mismatch.program) return false;
    return !mismatch.program.empty() || found->message.substr(0, 30) == mismatch.message.substr(0, 30);
  };
  const Sketch small = shrunk(sketch_of(arguments, seed), fails, arguments.shrink);
  const auto again = check(small, variant, options);
  const bool by_rules = variant.schedule_seed != 0 && check(small, variant_named("rules"), options);
  if (by_rules) std::cout << "the schedules that the rules choose do it, too\n";
  for (const auto& [kernel, schedule] :
       by_rules ? std::map<std::string, std::string>() : drawn_schedules(small, variant)) {
    Variant single = variant;
    single.only_kernel = kernel;
    if (!kernel.starts_with(mismatch.program + "/") || schedule.empty() || !check(small, single, options)) continue;
    std::cout << "the schedule of one kernel does it: --schedule " << kernel << ':' << schedule << '\n';
  }
  std::cout << "smallest graph that still does it: " << (again ? again->program + ": " + again->message : "none")
            << '\n'
            << code(small) << std::flush;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Compares random graphs, compiled in several ways, with an unscheduled f64 evaluation.",
               "kiln_random_graphs"};
  app.add_option("--graphs", arguments.graphs, "How many")->check(CLI::PositiveNumber);
  app.add_option("--seed", arguments.seed, "Of the first graph; the others follow");
  app.add_option("--layers", arguments.layers,
                 "Of each graph, between inputs and loss (default: 3 to 40, by the seed)");
  app.add_option("--variant", arguments.variant,
                 "Only rules, no-<pass>, no-passes or schedule-<seed> (default: all of them)");
  app.add_option("--programs", arguments.programs, "Only these, of train, evaluate, predict and predict_one");
  app.add_flag("--some", arguments.some, "One variant a graph, as in ./run test, instead of all");
  app.add_flag("--interpret", arguments.interpret,
               "Interpret the kernels on their planned memory instead of compiling them: passes and plan alone");
  app.add_option("--seconds", arguments.seconds, "Stop after so many");
  app.add_option("--shrink", arguments.shrink, "Attempts to make a failing graph smaller");
  app.add_flag("--show", arguments.show, "Print the graphs instead");
  app.add_flag("--verbose", arguments.verbose, "A line for each");
  CLI11_PARSE(app, argc, argv);

  const std::filesystem::path cache =
      std::filesystem::temp_directory_path() / fmt::format("kiln_random_graphs-{}", getpid());
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  int done = 0, programs = 0, failures = 0;
  for (; done < arguments.graphs && (arguments.seconds == 0 || elapsed() < arguments.seconds); ++done) {
    const uint64_t seed = arguments.seed + static_cast<uint64_t>(done);
    const Sketch sketch = sketch_of(arguments, seed);
    if (arguments.show) {
      std::cout << "// seed " << seed << '\n' << code(sketch) << '\n';
      continue;
    }
    const std::vector<Variant> variants = !arguments.variant.empty() ? std::vector{variant_named(arguments.variant)}
                                          : arguments.some           ? std::vector{some_variant(seed)}
                                          : arguments.interpret      ? pass_variants()  // nothing has a schedule
                                                                     : all_variants(seed);
    GraphCheck graph(sketch, {.seed = seed,
                              .programs = arguments.programs,
                              .interpret = arguments.interpret,
                              .cache = CompileCache(cache.string(), "random graphs")});
    for (const Variant& variant : variants) {
      std::cerr << "\rgraph " << seed << ' ' << variant.name << "          " << std::flush;  // what a crash leaves
      ++programs;
      const double before = elapsed();
      if (const auto mismatch = graph.run(variant)) {
        ++failures;
        report(arguments, seed, variant, *mismatch);
        if (variant.name == "rules") break;  // the others would say the same
      }
      if (arguments.verbose)
        std::cout << "\rgraph " << seed << ' ' << variant.name << ": " << sketch.lines.size() << " lines, "
                  << elapsed() - before << " s" << std::endl;
    }
    std::error_code ignored;
    std::filesystem::remove_all(cache, ignored);
    if ((done + 1) % 10 == 0)
      std::cout << "\rgraphs " << arguments.seed << " to " << seed << ": " << programs << " programs, " << failures
                << " failures, " << static_cast<int>(elapsed()) << " s" << std::endl;
  }
  if (!arguments.show && done > 0)
    std::cout << "\rgraphs " << arguments.seed << " to " << arguments.seed + static_cast<uint64_t>(done) - 1 << ": "
              << programs << " programs, " << failures << " failures, " << static_cast<int>(elapsed()) << " s"
              << std::endl;
  return failures == 0 ? 0 : 1;
}
