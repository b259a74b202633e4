#include "driver/print.h"

#include <fmt/ranges.h>

#include "passes/cost.h"

namespace kiln {
namespace {

std::string print_call(const Node& node) {
  std::vector<std::string> inputs, attributes;
  for (NodeId input : node.inputs) inputs.push_back(fmt::format("%{}", input));
  for (const auto& [name, value] : node.attributes) attributes.push_back(name + "=" + to_string(value));
  return fmt::format("{}({}){}", node.op->name, fmt::join(inputs, ", "),
                     attributes.empty() ? "" : fmt::format(" {{{}}}", fmt::join(attributes, ", ")));
}

std::string print_node(const Node& node) {
  return fmt::format("%{} = {} : {}{}{}  # {}.{}, {}:{}\n", node.id, print_call(node), to_string(node.type.shape),
                     node.type.element == ElementType::real ? "" : " ",
                     node.type.element == ElementType::real ? "" : to_string(node.type.element), node.layer,
                     to_string(node.role), node.location.file, node.location.line);
}

}  // namespace

std::string print(const Graph& graph) {
  std::string text = "graph " + graph.name + "\n";
  for (const Node& node : graph.nodes) text += print_node(node);
  for (const Output& output : graph.outputs) text += fmt::format("output {} = %{}\n", output.name, output.node);
  for (const Output& metric : graph.metrics) text += fmt::format("metric {} = %{}\n", metric.name, metric.node);
  if (graph.loss) text += fmt::format("loss = %{}\n", *graph.loss);
  for (const Update& update : graph.updates) text += fmt::format("update %{} = %{}\n", update.parameter, update.value);
  return text;
}

std::string print(const Program& program) {
  std::string text = fmt::format("program {}: batch {}, {} lanes, {} kernels, arena {} bytes\n", program.name,
                                 program.batch, program.lanes, program.kernels.size(), program.arena_bytes);
  const auto place = [&](NodeId id) {
    const Placement& placement = program.placements[id];
    switch (placement.kind) {
      case Placement::Kind::arena:
        return fmt::format("%{}@arena+{}", id, placement.offset);
      case Placement::Kind::state:
        return fmt::format("%{}@state+{}", id, placement.offset);
      default:
        return fmt::format("%{}", id);
    }
  };
  for (const Kernel& kernel : program.kernels) {
    std::vector<std::string> leaves, roots;
    for (NodeId id : kernel.leaves) leaves.push_back(place(id));
    for (NodeId id : kernel.roots) roots.push_back(place(id));
    const KernelCost work = cost(program, kernel);
    text += fmt::format("kernel {} ({:.3f} MFLOP, {:.3f} MB)\n  reads {}\n  writes {}\n", kernel.name, work.flops / 1e6,
                        work.bytes / 1e6, fmt::join(leaves, " "), fmt::join(roots, " "));
    for (NodeId id : nodes_inside(program, kernel)) text += "    " + print_node(program.graph.node(id));
  }
  for (const Copy& copy : program.copies) text += fmt::format("copy %{} to state+{}\n", copy.from, copy.state_offset);
  return text;
}

std::string fingerprint(const Graph& graph) {
  // FNV-1a: a checksum against mix-ups, not against malice.
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  for (const Node& node : graph.nodes) add(print_call(node) + to_string(node.type.shape) + ";");
  for (const Update& update : graph.updates) add(fmt::format("{}={};", update.parameter, update.value));
  return fmt::format("{:016x}", hash);
}

}  // namespace kiln
