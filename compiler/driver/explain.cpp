#include "driver/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/ADT/StringRef.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "codegen/kernel_bitcode.h"
#include "codegen/schedule_requests.h"
#include "driver/schedules.h"
#include "driver/summary.h"
#include "ops/parameter.h"
#include "passes/cost.h"
#include "tune/bench.h"

namespace kiln {
namespace {

struct Found {
  const Program& program;
  size_t kernel;  // of its kernels
};

Found find_kernel(const Model& model, const std::string& name) {
  std::vector<std::pair<unsigned, std::string>> names;  // by distance
  for (const Program& program : model.programs) {
    for (size_t k = 0; k < program.kernels.size(); ++k) {
      const std::string& own = program.kernels[k].name;
      const std::string full = program.name + "/" + own;
      if (name == own || name == full) return {program, k};
      const std::string& compared = name.find('/') == std::string::npos ? own : full;
      const unsigned distance = own.find(name) != std::string::npos ? 0 : llvm::StringRef(compared).edit_distance(name);
      if (std::none_of(names.begin(), names.end(), [&](const auto& known) { return known.second == compared; }))
        names.emplace_back(distance, compared);
    }
  }
  std::stable_sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> nearest;
  for (size_t i = 0; i < std::min<size_t>(3, names.size()); ++i) nearest.push_back(names[i].second);
  throw UserError(fmt::format("--explain: there is no kernel '{}'; the nearest are {}; --list-schedules shows them all",
                              name, fmt::join(nearest, ", ")));
}

/// "%12 conv2d_1" for a node, a parameter by its own name.
std::string title(const Node& node) {
  return fmt::format(
      "%{} {}", node.id,
      node.op == &parameter_operator ? std::get<std::string>(node.attributes.at("name")) : node.op->name);
}

/// The lines of the graph file that the kernel's nodes come from.
std::string quoted_lines(const Graph& graph, const Kernel& kernel) {
  std::map<std::string, std::set<int>> lines;
  for (const FusedNode& fused : kernel.fused) {
    const Node& node = graph.node(fused.node);
    const Location location = node.location;
    const bool number = node.type.shape.empty() && node.inputs.empty();  // equal ones are one node, from anywhere
    if (location.line > 0 && !number) lines[location.file].insert(location.line);
  }
  std::string text;
  for (const auto& [name, numbers] : lines) {
    text += name + "\n";
    std::ifstream file(name);
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
      if (numbers.count(number)) text += fmt::format("{:>5} | {}\n", number, line);
    }
  }
  return text;
}

std::string computed(const Program& program, const Kernel& kernel) {
  std::string text = "\nComputes\n";
  for (const FusedNode& fused : kernel.fused) {
    const Node& node = program.graph.node(fused.node);
    text += fmt::format("  {:<24} {:<14} {}.{}, line {}\n      {}\n", title(node), to_string(node.type.shape),
                        node.layer, to_string(node.role), node.location.line, fused.reason);
  }
  return text;
}

/// One buffer: shape, size, place, and which kernels write it first and read it last.
std::string buffer_line(const Program& program, NodeId id) {
  const Graph& graph = program.graph;
  const Node& node = graph.node(id);
  const Placement& placement = program.placements[id];
  if (placement.kind == Placement::Kind::scalar || placement.kind == Placement::Kind::expression)
    return fmt::format("  {:<24} a number of the step\n", title(node));
  const auto is_it = [&](NodeId other) { return resolve_view(graph, other) == resolve_view(graph, id); };
  std::string written = "before the step", read = "after the step";
  for (const Kernel& kernel : program.kernels) {
    if (std::any_of(kernel.roots.begin(), kernel.roots.end(), is_it)) written = "by " + kernel.name;
    if (std::any_of(kernel.leaves.begin(), kernel.leaves.end(), is_it)) read = "by " + kernel.name;
  }
  const bool state = placement.kind == Placement::Kind::state;
  return fmt::format("  {:<24} {:<14} {:>11} bytes at {}+{}{}\n", title(node), to_string(node.type.shape),
                     with_commas(4 * element_count(node.type.shape, program.lanes)), state ? "state" : "arena",
                     placement.offset,
                     state ? ", kept from step to step" : fmt::format(", written {}, read last {}", written, read));
}

std::string buffers(const Program& program, const Kernel& kernel) {
  std::string text = "\nReads\n";
  for (NodeId id : kernel.leaves) text += buffer_line(program, id);
  text += "Writes\n";
  for (NodeId id : kernel.roots) text += buffer_line(program, id);
  return text;
}

std::string loops(const Program& program, const Kernel& kernel, const std::string& target) {
  std::istringstream lines(kernel_loop_nest(program, kernel, target));
  std::string text = "\nLoops\n";
  for (std::string line; std::getline(lines, line);) text += "  " + line + "\n";
  return text;
}

std::string knobs(const Program& program, const Kernel& kernel, const std::string& target) {
  std::string text = fmt::format("\nSchedule, @{}; change it with --schedule {}/{}:<knob>=<value>\n",
                                 schedule_key(program, kernel, target), program.name, kernel.name);
  for (const Knob& knob : kernel_knobs(program, kernel, target)) {
    text += fmt::format("  {:<20} {:<12} {}; of {}\n", knob.name, knob.value,
                        kernel.schedule.count(knob.name) ? "requested, by the rules " + knob.standard : "by the rules",
                        legal_values(knob));
  }
  return text;
}

/// Seconds of the kernel, with the rest of its program running in between: its data are in the caches as in a step.
double measure(const Model& model, const Found& found, const CompileOptions& options, int threads) {
  constexpr int kSamples = 15;
  const LoadedObject object = load_model(model, options);
  Context context(threads);
  Bench bench(found.program, object, context);
  std::vector<double> times;
  for (int sample = 0; sample < kSamples; ++sample) {
    for (size_t k = 0; k < found.program.kernels.size(); ++k) {
      const double seconds = bench.run(bench.compiled.kernels[k]);
      if (k == found.kernel) times.push_back(seconds);
    }
  }
  return median(times);
}

std::string times(const Model& model, const Found& found, const CompileOptions& options, const std::string& target) {
  const Kernel& kernel = found.program.kernels[found.kernel];
  const bool parallel = kernel_loop_nest(found.program, kernel, target).find("parallel ") != std::string::npos;
  const int available =
      options.threads > 0 ? options.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int threads = parallel ? available : 1;
  const int vector = target_vector(target);
  const CoreLimits limits;
  const KernelCost work = cost(found.program, kernel);
  const double predicted = roofline_seconds(work, vector, threads);
  std::string text = fmt::format(
      "\nTime\n  predicted  {:>9.1f} us on {} {}: the longer of {:.3f} MFLOP at {:.0f} GFLOP/s and {:.3f} MB at {:.0f} "
      "GB/s a core\n",
      predicted * 1e6, threads, threads == 1 ? "thread" : "threads", work.flops / 1e6,
      limits.flops_per_second(vector) / 1e9, work.bytes / 1e6, limits.bytes_per_second / 1e9);
  if (target != kernel_target("host")) return text + "  measured   not: the target is another machine's\n";
  const double measured = measure(model, found, options, available);
  return text +
         fmt::format("  measured   {:>9.1f} us, median, the program running around it: {:.1f} GFLOP/s, {:.1f} GB/s\n",
                     measured * 1e6, work.flops / measured / 1e9, work.bytes / measured / 1e9);
}

}  // namespace

std::string explain(const Model& model, const std::string& name, const CompileOptions& options) {
  const Found found = find_kernel(model, name);
  const Program& program = found.program;
  const Kernel& kernel = program.kernels[found.kernel];
  const std::string target = kernel_target(options.target);
  std::string text =
      fmt::format("{}/{}, kernel {} of {}\n\n", program.name, kernel.name, found.kernel + 1, program.kernels.size());
  text += quoted_lines(program.graph, kernel) + computed(program, kernel) + buffers(program, kernel);
  text += loops(program, kernel, target) + knobs(program, kernel, target);
  return text + times(model, found, options, target);
}

}  // namespace kiln
