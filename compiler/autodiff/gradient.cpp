#include "autodiff/gradient.h"

#include "ops/add.h"
#include "ops/constant.h"
#include "ops/divide.h"
#include "ops/maximum.h"
#include "ops/minimum.h"
#include "ops/multiply.h"
#include "ops/parameter.h"
#include "ops/reduce_sum.h"
#include "ops/reshape.h"
#include "ops/sqrt.h"
#include "ops/square.h"

namespace kiln {
namespace {

Tensor sum_of_squares(Tensor x) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < x.shape().size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (axes.empty()) return square(x);
  return reshape(reduce_sum(square(x), {.axes = axes}), {});
}

/// Keras's clipvalue, clipnorm and global_clipnorm.
void clip_gradients(Graph& graph, const Optimizer& optimizer, std::vector<Tensor>& gradients) {
  // g * limit / max(norm, limit): g itself while the norm is within the limit.
  const auto shrink = [&](Tensor gradient, Tensor squares, double limit) {
    return gradient * (graph.constant(limit) / maximum(sqrt(squares), graph.constant(limit)));
  };
  Tensor all;
  if (optimizer.global_clip_norm > 0) {
    for (const Tensor& gradient : gradients) all = all ? all + sum_of_squares(gradient) : sum_of_squares(gradient);
  }
  for (Tensor& gradient : gradients) {
    if (optimizer.clip_value > 0) {
      gradient =
          minimum(maximum(gradient, graph.constant(-optimizer.clip_value)), graph.constant(optimizer.clip_value));
    }
    if (optimizer.clip_norm > 0) gradient = shrink(gradient, sum_of_squares(gradient), optimizer.clip_norm);
    if (all) gradient = shrink(gradient, all, optimizer.global_clip_norm);
  }
}

}  // namespace

std::vector<Tensor> gradients(Graph& graph, Tensor scalar, const std::vector<Tensor>& with_respect_to) {
  const NodeId last = scalar.id();
  std::vector<bool> depends(last + 1, false);  // on a tensor whose gradient is wanted
  for (const Tensor& tensor : with_respect_to) {
    if (tensor.id() <= last) depends[tensor.id()] = true;
  }
  for (NodeId id = 0; id <= last; ++id) {
    for (NodeId input : graph.node(id).inputs) depends[id] = depends[id] || depends[input];
  }

  std::vector<Tensor> cotangents(last + 1);
  const auto outer = graph.scope;
  graph.scope = Graph::Scope{scalar.node().location, scalar.node().layer, Role::gradient};
  cotangents[last] = graph.constant(1);
  if (!scalar.shape().empty()) cotangents[last] = reshape(cotangents[last], scalar.shape());
  for (NodeId id = last; id >= 0; --id) {
    const Node node = graph.node(id);
    if (!cotangents[id] || !depends[id] || node.op->gradient == nullptr) continue;
    graph.scope = Graph::Scope{node.location, node.layer, Role::gradient};
    std::vector<Tensor> inputs;
    for (NodeId input : node.inputs) inputs.emplace_back(&graph, input);
    Tensor output(&graph, id);
    const std::vector<Tensor> shares = node.op->gradient({graph, inputs, output, node.attributes, cotangents[id]});
    if (shares.size() != inputs.size()) {
      throw InternalError(fmt::format("{}: {} cotangents for {} inputs", node.op->name, shares.size(), inputs.size()));
    }
    for (size_t i = 0; i < shares.size(); ++i) {
      if (!shares[i] || !depends[node.inputs[i]]) continue;
      if (shares[i].shape() != inputs[i].shape()) {
        throw InternalError(fmt::format("{}: the cotangent of input {} is {}, not {}", node.op->name, i,
                                        to_string(shares[i].shape()), to_string(inputs[i].shape())));
      }
      Tensor& sum = cotangents[node.inputs[i]];
      sum = sum ? sum + shares[i] : shares[i];
    }
  }
  graph.scope = outer;
  std::vector<Tensor> results;
  for (const Tensor& tensor : with_respect_to)
    results.push_back(tensor.id() <= last ? cotangents[tensor.id()] : Tensor{});
  return results;
}

Graph with_regularizers(Graph graph) {
  graph.scope = Graph::Scope{graph.train_location, "loss", Role::loss};
  Tensor loss(&graph, *graph.loss);
  for (const auto& regularizer : graph.regularizers) {
    loss = loss + regularizer.l2 * sum_of_squares(Tensor(&graph, regularizer.weight));
  }
  graph.loss = loss.id();
  graph.regularizers.clear();
  graph.scope.reset();
  return graph;
}

Graph training_step(Graph graph) {
  graph = with_regularizers(std::move(graph));
  const Tensor loss(&graph, *graph.loss);
  std::vector<Tensor> weights;
  for (const Node& node : graph.nodes) {
    if (node.op == &parameter_operator && std::get<bool>(node.attributes.at("trainable")))
      weights.emplace_back(&graph, node.id);
  }
  std::vector<Tensor> found = gradients(graph, loss, weights);
  std::vector<Tensor> trained, their_gradients;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!found[i]) continue;  // the loss does not depend on it: it stays as it is
    trained.push_back(weights[i]);
    their_gradients.push_back(found[i]);
  }
  if (trained.empty()) throw UserError(graph.train_location, "train", "the loss depends on no trainable parameter");

  graph.scope = Graph::Scope{graph.train_location, "optimizer", Role::update};
  const Tensor learning_rate = graph.scalar("learning_rate"), step = graph.scalar("step");
  clip_gradients(graph, graph.optimizer, their_gradients);
  for (size_t i = 0; i < trained.size(); ++i) {
    const Node weight = trained[i].node();
    // State is named after the weight, not after the layer as well.
    graph.scope = Graph::Scope{weight.location, "", Role::update};
    const std::string name = std::get<std::string>(weight.attributes.at("name"));
    const NodeId before = static_cast<NodeId>(graph.nodes.size());
    graph.optimizer.update({graph, trained[i], their_gradients[i], learning_rate, step, name});
    for (NodeId id = before; id < static_cast<NodeId>(graph.nodes.size()); ++id) graph.nodes[id].layer = weight.layer;
  }
  graph.scope.reset();
  return graph;
}

}  // namespace kiln
