#include "formats/graph_of.h"

#include <algorithm>
#include <stdexcept>

#include "driver/structure.h"
#include "lower/interpreter.h"
#include "ops/input.h"
#include "ops/parameter.h"
#include "passes/expand.h"
#include "structure.h"

namespace kiln {
namespace {

using nlohmann::json;

Attribute attribute(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return value.get<std::vector<int64_t>>();
}

/// Row-major with the batch first, in storage order: the batch innermost; or back.
template <class From>
std::vector<double> swapped(const std::vector<From>& values, int64_t outer) {
  const int64_t inner = std::ssize(values) / outer;
  std::vector<double> result(values.size());
  for (int64_t i = 0; i < outer; ++i) {
    for (int64_t k = 0; k < inner; ++k)
      result[static_cast<size_t>(k * outer + i)] = static_cast<double>(values[static_cast<size_t>(i * inner + k)]);
  }
  return result;
}

}  // namespace

Graph graph_of(const json& description) {
  Graph graph(description.at("name").get<std::string>());
  std::map<int, Tensor> tensors;
  for (const json& node : description.at("nodes")) {
    const auto operators = all_operators();
    const auto op =
        std::find_if(operators.begin(), operators.end(), [&](const Operator* o) { return o->name == op_of(node); });
    if (op == operators.end()) throw std::runtime_error("no operator " + op_of(node));
    std::vector<Tensor> inputs;
    for (const json& input : node.at("inputs")) inputs.push_back(tensors.at(input.get<int>()));
    Attributes attributes;
    for (const auto& [name, value] : node.at("attributes").items()) attributes[name] = attribute(value);
    graph.scope = Graph::Scope{Location::here(), node.at("layer").get<std::string>(), Role::forward};
    const Tensor tensor = graph.append(**op, inputs, attributes, Location::here());
    graph.scope.reset();
    if (tensor.shape() != shape_of(node))
      throw std::runtime_error(op_of(node) + " has the shape " + to_string(tensor.shape()) + ", not " +
                               to_string(shape_of(node)));
    tensors[node.at("id").get<int>()] = tensor;
  }
  for (const json& output : description.at("outputs"))
    graph.output(output.at("name").get<std::string>(), tensors.at(output.at("node").get<int>()));
  return graph;
}

KilnFile file_of(const Graph& graph) {
  KilnFile file;
  file.header["structure"] = json::parse(structure_json(graph));
  json& parameters = file.header["parameters"] = json::array();
  uint64_t offset = 0;
  for (const Node& node : graph.nodes) {
    if (node.op != &parameter_operator) continue;
    parameters.push_back(
        {{"name", std::get<std::string>(node.attributes.at("name"))}, {"shape", node.type.shape}, {"offset", offset}});
    offset += static_cast<uint64_t>(byte_count(node.type));
  }
  file.checkpoint.weights.resize(offset);
  return file;
}

std::vector<std::vector<double>> interpret(Graph graph, const std::map<std::string, Array>& parameters,
                                           const std::map<std::string, std::vector<float>>& inputs, int64_t rows) {
  graph.loss.reset();
  graph.metrics.clear();
  graph.regularizers.clear();
  graph = expand(graph, false);
  Interpreter interpreter(graph, {.lanes = rows, .count = rows});
  std::vector<std::vector<double>> values(graph.nodes.size());
  for (const Node& node : graph.nodes) {
    const auto name = [&] { return std::get<std::string>(node.attributes.at("name")); };
    std::vector<double>& value = values[static_cast<size_t>(node.id)];
    if (node.op == &input_operator) {
      if (!inputs.contains(name())) continue;  // labels, which no output needs
      value = swapped(inputs.at(name()), rows);
    } else if (node.op == &parameter_operator) {
      const std::vector<float>& numbers = parameters.at(name()).values;
      value.assign(numbers.begin(), numbers.end());
    } else {
      value = interpreter.values(node.id);
    }
    interpreter.store(node.id, value.data());
  }
  std::vector<std::vector<double>> results;
  for (const Output& output : graph.outputs) {
    const std::vector<double>& value = values[static_cast<size_t>(output.node)];
    const bool batched = has_batch(graph.node(output.node).type.shape);
    results.push_back(batched ? swapped(value, std::ssize(value) / rows) : value);
  }
  return results;
}

}  // namespace kiln
