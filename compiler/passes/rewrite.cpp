#include "passes/rewrite.h"

#include "ops/input.h"

namespace kiln {
namespace {

/// The same graph without nodes and what refers to them.
Graph without_nodes(const Graph& graph) {
  Graph result(graph.name);
  result.layer_counts = graph.layer_counts;
  result.optimizer = graph.optimizer;
  result.batch = graph.batch;
  result.epochs = graph.epochs;
  result.validation_split = graph.validation_split;
  result.precision = graph.precision;
  result.train_location = graph.train_location;
  return result;
}

}  // namespace

Tensor copy_node(Graph& result, const Node& node, const std::vector<Tensor>& inputs) {
  return result.append(*node.op, inputs, node.attributes, node.location);
}

Graph rewrite(const Graph& graph, const RewriteRule& rule) {
  Graph result = without_nodes(graph);
  std::vector<NodeId> replaced(graph.nodes.size(), -1);
  for (const Node& node : graph.nodes) {
    std::vector<Tensor> inputs;
    for (NodeId input : node.inputs) inputs.emplace_back(&result, replaced[input]);
    result.scope = Graph::Scope{node.location, node.layer, node.role};
    const Tensor value = rule(result, node, inputs);
    result.scope.reset();
    if (value) replaced[node.id] = value.id();
  }
  for (const Output& output : graph.outputs) result.outputs.push_back({output.name, replaced[output.node]});
  for (const Output& metric : graph.metrics) result.metrics.push_back({metric.name, replaced[metric.node]});
  std::vector<Update> made;  // by the rules: they are in terms of the new graph
  made.swap(result.updates);
  for (const Update& update : graph.updates) {
    result.updates.push_back({replaced[update.parameter], replaced[update.value]});
  }
  result.updates.insert(result.updates.end(), made.begin(), made.end());
  for (const auto& regularizer : graph.regularizers) {
    result.regularizers.push_back({replaced[regularizer.weight], regularizer.l2});
  }
  if (graph.loss) result.loss = replaced[*graph.loss];
  return result;
}

Tensor prepared(Graph& result, const std::function<Tensor()>& build) {
  const std::optional<Graph::Scope> scope = result.scope;
  result.scope->role = Role::prepare;
  const Tensor made = build();
  result.scope = scope;
  return made;
}

Graph without_dead_nodes(const Graph& graph) {
  std::vector<bool> live(graph.nodes.size(), false);
  for (const Output& output : graph.outputs) live[output.node] = true;
  for (const Output& metric : graph.metrics) live[metric.node] = true;
  for (const Update& update : graph.updates) live[update.parameter] = live[update.value] = true;
  if (graph.loss) live[*graph.loss] = true;
  for (const auto& regularizer : graph.regularizers) live[regularizer.weight] = true;
  for (NodeId id = static_cast<NodeId>(graph.nodes.size()) - 1; id >= 0; --id) {
    // Inputs stay: a program's interface does not depend on what it uses.
    if (graph.node(id).op == &input_operator) live[id] = true;
    if (!live[id]) continue;
    for (NodeId input : graph.node(id).inputs) live[input] = true;
  }
  return rewrite(graph, [&](Graph& result, const Node& node, const std::vector<Tensor>& inputs) {
    return live[node.id] ? copy_node(result, node, inputs) : Tensor{};
  });
}

}  // namespace kiln
