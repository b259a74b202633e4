#include "driver/summary.h"

#include <nlohmann/json.hpp>
#include <set>

#include "ops/parameter.h"
#include "passes/cost.h"
#include "passes/expand.h"
#include "passes/simplify.h"

namespace kiln {
namespace {

std::string keras_shape(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + (shape[i] == kBatch ? "None" : std::to_string(shape[i]));
  return text + ")";
}

std::string bytes_text(double bytes) {
  if (bytes >= 1 << 20) return fmt::format("{:.2f} MB", bytes / (1 << 20));
  if (bytes >= 1 << 10) return fmt::format("{:.2f} KB", bytes / (1 << 10));
  return fmt::format("{:.2f} B", bytes);
}

struct Column {
  std::string title;
  size_t width;
  bool right;
};

std::string line(const std::vector<Column>& columns, const char* left, const char* bar, const char* middle,
                 const char* right) {
  std::string text = left;
  for (size_t i = 0; i < columns.size(); ++i) {
    for (size_t j = 0; j < columns[i].width + 2; ++j) text += bar;
    text += i + 1 < columns.size() ? middle : right;
  }
  return text + "\n";
}

std::string cells(const std::vector<Column>& columns, const std::vector<std::string>& values, const char* edge) {
  std::string text = edge;
  for (size_t i = 0; i < columns.size(); ++i) {
    text += columns[i].right ? fmt::format(" {:>{}} ", values[i], columns[i].width)
                             : fmt::format(" {:<{}} ", values[i], columns[i].width);
    text += edge;
  }
  return text + "\n";
}

}  // namespace

std::string with_commas(int64_t value) {
  std::string digits = std::to_string(value);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(static_cast<size_t>(i), ",");
  return digits;
}

std::vector<LayerRow> layer_rows(const Graph& graph) {
  std::vector<bool> live(graph.nodes.size(), false);  // what the outputs depend on: neither loss nor metrics
  for (const Output& output : graph.outputs) live[output.node] = true;
  for (NodeId id = static_cast<NodeId>(graph.nodes.size()) - 1; id >= 0; --id) {
    if (!live[id]) continue;
    for (NodeId input : graph.node(id).inputs) live[input] = true;
  }
  std::vector<LayerRow> rows;
  std::set<NodeId> counted;  // a parameter that several layers read counts in the first
  for (const Node& node : graph.nodes) {
    if (!live[node.id] || node.op == &parameter_operator || (node.op->layer == nullptr && node.inputs.empty()))
      continue;
    LayerRow row{node.layer, node.op->layer != nullptr ? node.op->layer : node.op->name, node.type.shape};
    for (NodeId input : node.inputs) {
      const Node& parameter = graph.node(input);
      if (parameter.op != &parameter_operator || !counted.insert(input).second) continue;
      row.parameters += element_count(parameter.type.shape);
      if (std::get<bool>(parameter.attributes.at("trainable"))) row.trainable += element_count(parameter.type.shape);
    }
    row.bytes = 4.0 * static_cast<double>(element_count(node.type.shape));
    rows.push_back(std::move(row));
  }
  const Graph primitive = simplify(expand(graph, false));
  for (const Node& node : primitive.nodes) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const LayerRow& r) { return r.name == node.layer; });
    if (row != rows.end()) row->flops += node_flops(primitive, node, 1);
  }
  return rows;
}

std::string summary_table(const Graph& graph) {
  std::vector<Column> columns = {{"Layer (type)", 20, false},
                                 {"Output Shape", 14, false},
                                 {"Param #", 9, true},
                                 {"FLOPs", 9, true},
                                 {"Bytes", 9, true}};
  std::vector<std::vector<std::string>> table;
  int64_t total = 0, trainable = 0;
  double flops = 0, bytes = 0;
  for (const LayerRow& row : layer_rows(graph)) {
    table.push_back({fmt::format("{} ({})", row.name, row.kind), keras_shape(row.shape), with_commas(row.parameters),
                     with_commas(static_cast<int64_t>(row.flops)), with_commas(static_cast<int64_t>(row.bytes))});
    total += row.parameters;
    trainable += row.trainable;
    flops += row.flops;
    bytes += row.bytes;
    for (size_t i = 0; i < columns.size(); ++i) columns[i].width = std::max(columns[i].width, table.back()[i].size());
  }
  std::string text = fmt::format("Model: \"{}\"\n", graph.name);
  std::vector<std::string> titles;
  for (const Column& column : columns) titles.push_back(column.title);
  text += line(columns, "┏", "━", "┳", "┓") + cells(columns, titles, "┃") + line(columns, "┡", "━", "╇", "┩");
  for (size_t i = 0; i < table.size(); ++i) {
    if (i > 0) text += line(columns, "├", "─", "┼", "┤");
    text += cells(columns, table[i], "│");
  }
  text += line(columns, "└", "─", "┴", "┘");
  text += fmt::format(" Total params: {} ({})\n Trainable params: {} ({})\n Non-trainable params: {} ({})\n",
                      with_commas(total), bytes_text(4.0 * static_cast<double>(total)), with_commas(trainable),
                      bytes_text(4.0 * static_cast<double>(trainable)), with_commas(total - trainable),
                      bytes_text(4.0 * static_cast<double>(total - trainable)));
  text += fmt::format(" Forward pass of one sample: {} FLOPs, {} of activations\n",
                      with_commas(static_cast<int64_t>(flops)), bytes_text(bytes));
  return text;
}

std::string summary_json(const Graph& graph) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerRow& row : layer_rows(graph)) {
    nlohmann::json shape = nlohmann::json::array();
    for (int64_t extent : row.shape) shape.push_back(extent == kBatch ? nlohmann::json() : nlohmann::json(extent));
    layers.push_back({{"name", row.name},
                      {"type", row.kind},
                      {"shape", shape},
                      {"parameters", row.parameters},
                      {"trainable", row.trainable},
                      {"flops", row.flops},
                      {"bytes", row.bytes}});
  }
  return nlohmann::json{{"name", graph.name}, {"layers", layers}}.dump();
}

}  // namespace kiln
