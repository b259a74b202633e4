#include "driver/structure.h"

#include <nlohmann/json.hpp>

namespace kiln {
namespace {

nlohmann::json json(const Attributes& attributes) {
  nlohmann::json result = nlohmann::json::object();
  for (const auto& [name, value] : attributes) {
    if (const auto* product = std::get_if<Contraction>(&value)) {
      result[name] = to_string(*product);  // no other tool has this operator: for people
    } else {
      std::visit(
          [&](const auto& v) {
            if constexpr (!std::is_same_v<std::decay_t<decltype(v)>, Contraction>) result[name] = v;
          },
          value);
    }
  }
  return result;
}

nlohmann::json json(const std::vector<Output>& outputs) {
  nlohmann::json result = nlohmann::json::array();
  for (const Output& output : outputs) result.push_back({{"name", output.name}, {"node", output.node}});
  return result;
}

}  // namespace

std::string structure_json(const Graph& graph) {
  std::vector<bool> live(graph.nodes.size(), false);
  for (const auto& named : {graph.outputs, graph.metrics}) {
    for (const Output& output : named) live[output.node] = true;
  }
  if (graph.loss) live[*graph.loss] = true;
  for (NodeId id = static_cast<NodeId>(graph.nodes.size()) - 1; id >= 0; --id) {
    if (!live[id]) continue;
    for (NodeId input : graph.node(id).inputs) live[input] = true;
  }
  nlohmann::json nodes = nlohmann::json::array();
  for (const Node& node : graph.nodes) {
    if (!live[node.id]) continue;
    nlohmann::json shape = nlohmann::json::array();
    for (int64_t extent : node.type.shape)
      shape.push_back(extent == kBatch ? nlohmann::json() : nlohmann::json(extent));
    nodes.push_back({{"id", node.id},
                     {"op", node.op->name},
                     {"layer", node.layer},
                     {"inputs", node.inputs},
                     {"attributes", json(node.attributes)},
                     {"shape", shape},
                     {"file", node.location.file},
                     {"line", node.location.line}});
  }
  nlohmann::json regularizers = nlohmann::json::array();
  for (const Graph::Regularizer& r : graph.regularizers) {
    if (live[r.weight]) regularizers.push_back({{"weight", r.weight}, {"l2", r.l2}});
  }
  nlohmann::json result = {{"name", graph.name},
                           {"batch", graph.batch},
                           {"nodes", nodes},
                           {"outputs", json(graph.outputs)},
                           {"metrics", json(graph.metrics)},
                           {"loss", nullptr},
                           {"regularizers", regularizers},
                           {"optimizer", nullptr}};
  if (graph.loss) {
    const Optimizer& optimizer = graph.optimizer;
    result["loss"] = *graph.loss;
    result["optimizer"] = {{"name", optimizer.name},
                           {"learning_rate", optimizer.learning_rate},
                           {"clip_value", optimizer.clip_value},
                           {"clip_norm", optimizer.clip_norm},
                           {"global_clip_norm", optimizer.global_clip_norm},
                           {"constants", json(optimizer.constants)}};
  }
  return result.dump();
}

}  // namespace kiln
