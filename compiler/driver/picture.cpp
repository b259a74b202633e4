#include "driver/picture.h"

#include <graphviz/gvc.h>

#include "driver/summary.h"
#include "ops/constant.h"
#include "ops/parameter.h"

namespace kiln {
namespace {

constexpr const char* kStyle =
    "  graph [fontname=\"Helvetica\", bgcolor=\"transparent\", rankdir=TB];\n"
    "  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11, fillcolor=\"#f4f6f8\", "
    "color=\"#5b6770\"];\n"
    "  edge [fontname=\"Helvetica\", fontsize=9, color=\"#5b6770\"];\n";

const char* colour(Role role) {
  switch (role) {
    case Role::forward:
      return "#e3f0fb";
    case Role::loss:
      return "#fde8e8";
    case Role::update:
      return "#e5f5e5";
    default:
      return "#fff1dc";
  }
}

}  // namespace

std::string layer_dot(const Graph& graph) {
  std::string text = "digraph \"" + graph.name + "\" {\n" + kStyle;
  const std::vector<LayerRow> rows = layer_rows(graph);
  const auto row_of = [&](const std::string& layer) -> const LayerRow* {
    for (const LayerRow& row : rows) {
      if (row.name == layer) return &row;
    }
    return nullptr;
  };
  for (const Node& node : graph.nodes) {
    const LayerRow* row = row_of(node.layer);
    if (row == nullptr || node.op == &parameter_operator) continue;
    text +=
        fmt::format("  n{} [label=\"{}\\n{}{}\"];\n", node.id, row->name + " (" + row->kind + ")",
                    to_string(row->shape), row->parameters ? "\\n" + with_commas(row->parameters) + " parameters" : "");
    for (NodeId input : node.inputs) {
      if (graph.node(input).op != &parameter_operator) text += fmt::format("  n{} -> n{};\n", input, node.id);
    }
  }
  return text + "}\n";
}

std::string node_dot(const Graph& graph) {
  std::string text = "digraph \"" + graph.name + " gradient\" {\n" + kStyle;
  std::map<std::string, std::string> layers;
  for (const Node& node : graph.nodes) {
    if (node.op == &constant_operator) continue;
    std::string label =
        node.op == &parameter_operator ? std::get<std::string>(node.attributes.at("name")) : node.op->name;
    layers[node.layer] += fmt::format("    n{} [label=\"{}\\n{}\", fillcolor=\"{}\"];\n", node.id, label,
                                      to_string(node.type.shape), colour(node.role));
  }
  int cluster = 0;
  for (const auto& [layer, nodes] : layers) {
    text += layer.empty()
                ? nodes
                : fmt::format("  subgraph cluster{} {{\n    label=\"{}\"; color=\"#c5ccd3\"; fontsize=12;\n{}  }}\n",
                              cluster++, layer, nodes);
  }
  for (const Node& node : graph.nodes) {
    for (NodeId input : node.inputs) {
      if (graph.node(input).op != &constant_operator) text += fmt::format("  n{} -> n{};\n", input, node.id);
    }
  }
  for (const Update& update : graph.updates)
    text += fmt::format("  n{} -> n{} [style=dashed, constraint=false];\n", update.value, update.parameter);
  return text + "}\n";
}

std::string render_svg(const std::string& dot, const CompileCache& cache) {
  // Never freed: Graphviz's text plugin remembers the last font by a pointer into the context.
  static GVC_t* const context = gvContext();
  const std::string source = fmt::format("svg by Graphviz {}\n{}", gvcVersion(context), dot);
  if (auto found = cache.find(source)) return std::move(*found);
  Agraph_t* graph = agmemread(dot.c_str());
  std::string svg;
  char* data = nullptr;
  unsigned int length = 0;
  if (graph != nullptr && gvLayout(context, graph, "dot") == 0) {
    if (gvRenderData(context, graph, "svg", &data, &length) == 0) svg.assign(data, length);
    gvFreeRenderData(data);
    gvFreeLayout(context, graph);
  }
  if (graph != nullptr) agclose(graph);
  if (svg.empty()) throw std::runtime_error("Graphviz cannot render the picture");
  cache.store(source, svg);
  return svg;
}

}  // namespace kiln
