#include "ir/graph.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/name.h"
#include "ops/constant.h"
#include "ops/input.h"
#include "ops/one_hot.h"
#include "ops/parameter.h"
#include "ops/scalar.h"

namespace kiln {

const char* to_string(Precision precision) { return precision == Precision::mixed ? "mixed" : "f32"; }

const char* to_string(Role role) {
  switch (role) {
    case Role::prepare:
      return "prepare";
    case Role::forward:
      return "forward";
    case Role::gradient:
      return "gradient";
    case Role::input_gradient:
      return "input_gradient";
    case Role::weight_gradient:
      return "weight_gradient";
    case Role::update:
      return "update";
    case Role::loss:
      return "loss";
  }
  throw InternalError("unknown role");
}

void Call::fail(const std::string& message) const { throw UserError(location, op.name, message); }

Graph& Tensor::graph() const {
  if (graph_ == nullptr)
    throw UserError(declared_, "Tensor",
                    "this one is used before anything was assigned to it; assign an input or an operator's result");
  return *graph_;
}

const Node& Tensor::node() const { return graph().node(id_); }

Initializer zeros() { return {Initializer::Kind::constant, 0}; }
Initializer ones() { return {Initializer::Kind::constant, 1}; }

// Keras: VarianceScaling; the normal ones divide by the standard deviation of a unit normal truncated at two.
Initializer glorot_uniform(int64_t fan_in, int64_t fan_out) {
  return {Initializer::Kind::uniform, std::sqrt(6.0 / static_cast<double>(fan_in + fan_out))};
}
static constexpr double kTruncatedDeviation = 0.87962566103423978;
Initializer he_normal(int64_t fan_in) {
  return {Initializer::Kind::normal, std::sqrt(2.0 / static_cast<double>(fan_in)) / kTruncatedDeviation};
}
Initializer lecun_normal(int64_t fan_in) {
  return {Initializer::Kind::normal, std::sqrt(1.0 / static_cast<double>(fan_in)) / kTruncatedDeviation};
}

Tensor OptimizerCall::state(const std::string& state_name) const {
  return graph.parameter(name + "/" + state_name, weight.shape(), zeros(), false, graph.train_location);
}

Graph::Graph(std::string graph_name, Location location) : name(std::move(graph_name)) {
  check_graph_name(name, location);
}

Tensor Graph::append(const Operator& op, const std::vector<Tensor>& inputs, Attributes attributes, Location location) {
  Node node;
  node.id = static_cast<NodeId>(nodes.size());
  node.op = &op;
  for (const Tensor& input : inputs) {
    if (!input || &input.graph() != this) {
      throw UserError(scope ? scope->location : location, op.name, "an input belongs to no graph or to another one");
    }
    node.inputs.push_back(input.id());
  }
  node.attributes = std::move(attributes);
  if (scope) {
    node.location = scope->location;
    node.layer = scope->layer;
    node.role = scope->role;
  } else {
    node.location = location;
    node.layer = fresh_layer(op.name);
  }
  for (const auto& [attribute, value] : node.attributes) {
    // Kernels are compiled for finite numbers alone.
    const double* const number = std::get_if<double>(&value);
    if (number != nullptr && !std::isfinite(static_cast<float>(*number)))
      throw UserError(node.location, op.name, fmt::format("{} must be a finite float, got {}", attribute, *number));
  }
  node.type = op.type(call(node));
  const Shape& shape = node.type.shape;
  int64_t room = std::numeric_limits<int32_t>::max();  // kernels count elements in 32 bits
  for (size_t d = 0; d < shape.size(); ++d) {
    if (d == 0 && shape[d] == kBatch && &op != &parameter_operator) continue;
    if (shape[d] < 1)
      throw UserError(node.location, op.name, fmt::format("extents must be positive, got {}", to_string(shape)));
    room /= shape[d];
  }
  if (room == 0) throw UserError(node.location, op.name, fmt::format("{} is too large", to_string(shape)));
  nodes.push_back(std::move(node));
  return {this, nodes.back().id};
}

std::vector<Type> Graph::input_types(const Node& node) const {
  std::vector<Type> types;
  for (NodeId input : node.inputs) types.push_back(nodes[input].type);
  return types;
}

Call Graph::call(const Node& node) const { return {*node.op, input_types(node), node.attributes, node.location}; }

std::string Graph::fresh_layer(const std::string& base) {
  const int count = layer_counts[base]++;
  return count == 0 ? base : fmt::format("{}_{}", base, count);
}

Tensor Graph::input(const std::string& input_name, Shape shape, Location location) {
  for (int64_t extent : shape) {
    if (extent < 1)
      throw UserError(location, "input", fmt::format("extents must be positive, got {}", to_string(shape)));
  }
  shape.insert(shape.begin(), kBatch);
  return kiln::input(*this, input_name, {shape, ElementType::real}, location);
}

Tensor Graph::label(const std::string& label_name, int64_t classes, Location location) {
  const LayerScope layer(*this, "label", location);
  return one_hot(kiln::input(*this, label_name, {{kBatch}, ElementType::int32}, location), {.classes = classes},
                 location);
}

void Graph::output(const std::string& output_name, Tensor value, Location location) {
  check_name(output_name, "output", location);
  if (!value || &value.graph() != this) throw UserError(location, "output", "the value belongs to another graph");
  if (value.node().type.element != ElementType::real)
    throw UserError(location, "output", fmt::format("'{}' must be real; to_real() makes it so", output_name));
  for (const Output& other : outputs) {
    if (other.name == output_name)
      throw UserError(location, "output", fmt::format("'{}' is there already", output_name));
  }
  outputs.push_back({output_name, value.id()});
}

void Graph::metric(const std::string& metric_name, Tensor value, Location location) {
  check_name(metric_name, "metric", location);
  if (!value || &value.graph() != this) throw UserError(location, "metric", "the value belongs to another graph");
  if (value.node().type.element != ElementType::real)
    throw UserError(location, "metric", fmt::format("'{}' must be real; to_real() makes it so", metric_name));
  if (element_count(value.shape()) != 1 || has_batch(value.shape())) {
    throw UserError(location, "metric",
                    fmt::format("'{}' must be a scalar, got {}", metric_name, to_string(value.shape())));
  }
  // Columns of metrics.csv.
  for (const char* taken : {"loss", "epoch", "seconds", "learning_rate"}) {
    if (metric_name == taken)
      throw UserError(location, "metric", fmt::format("'{}' is reported already, under that name", metric_name));
  }
  if (metric_name.starts_with("val_"))
    throw UserError(location, "metric",
                    fmt::format("'{}' begins as the validation's metrics do, with val_", metric_name));
  for (const Output& other : metrics) {
    if (other.name == metric_name)
      throw UserError(location, "metric", fmt::format("'{}' is there already", metric_name));
  }
  metrics.push_back({metric_name, value.id()});
}

void Graph::train(TrainingOptions options, Location location) {
  const auto fail = [&](const std::string& message) { throw UserError(location, "train", message); };
  if (!options.loss || &options.loss.graph() != this) fail("the loss belongs to another graph");
  if (loss) fail("a graph is trained on one loss; add the losses up");
  if (!options.loss.shape().empty()) fail("the loss must be a scalar, got " + to_string(options.loss.shape()));
  if (!options.optimizer.update) fail("an optimizer is missing: .optimizer = rmsprop()");
  const Optimizer& rule = options.optimizer;
  // The range of the trainer's --learning-rate.
  if (!(rule.learning_rate >= 1e-30 && rule.learning_rate <= 1e30))
    fail(fmt::format("{}'s learning_rate must be from 1e-30 to 1e30, got {}", rule.name, rule.learning_rate));
  int clips = 0;
  for (const auto& [option, value] : {std::pair{"clip_value", rule.clip_value},
                                      {"clip_norm", rule.clip_norm},
                                      {"global_clip_norm", rule.global_clip_norm}}) {
    if (!(value >= 0 && value <= 1e30))
      fail(fmt::format("{}'s {} must be from 0, which is none, to 1e30, got {}", rule.name, option, value));
    clips += value > 0;
  }
  if (clips > 1)
    fail(fmt::format("{}'s gradients are clipped in one way at most: clip_value, clip_norm or global_clip_norm",
                     rule.name));
  if (options.batch < 1) fail(fmt::format("the batch must be positive, got {}", options.batch));
  // As the trainer's flags have it.
  if (options.epochs < 1 || options.epochs > 1'000'000)
    fail(fmt::format("the epochs must be from 1 to 1000000, got {}", options.epochs));
  if (!(options.validation_split >= 0 && options.validation_split <= 0.99))
    fail(fmt::format("the validation split must be from 0 to 0.99, got {}", options.validation_split));
  loss = options.loss.id();
  optimizer = std::move(options.optimizer);
  batch = options.batch;
  epochs = options.epochs;
  validation_split = options.validation_split;
  precision = options.precision;
  train_location = location;
}

Tensor Graph::parameter(const std::string& parameter_name, Shape shape, Initializer initializer, bool trainable,
                        Location location) {
  const std::string full = scope && !scope->layer.empty() ? scope->layer + "/" + parameter_name : parameter_name;
  return kiln::parameter(*this, full, std::move(shape), initializer, trainable, location);
}

void Graph::update(Tensor parameter, Tensor value) {
  const auto fail = [&](const std::string& message) {
    throw UserError(scope ? scope->location : parameter.node().location, "update", message);
  };
  if (parameter.node().op != &parameter_operator) fail("what is updated must be a parameter");
  const std::string parameter_name = std::get<std::string>(parameter.node().attributes.at("name"));
  if (&parameter.graph() != this || &value.graph() != this || value.node().type.element != ElementType::real ||
      value.shape() != parameter.shape())
    fail(fmt::format("'{}' takes a real value of {} from its own graph, got {}", parameter_name,
                     to_string(parameter.shape()), to_string(value.shape())));
  for (const Update& other : updates) {
    if (other.parameter == parameter.id()) fail(fmt::format("'{}' is updated already", parameter_name));
  }
  updates.push_back({parameter.id(), value.id()});
}

Tensor Graph::constant(double value, Location location) { return kiln::constant(*this, value, location); }

Tensor Graph::scalar(const std::string& scalar_name, Location location) {
  for (const Node& node : nodes) {
    if (node.op == &scalar_operator && std::get<std::string>(node.attributes.at("name")) == scalar_name) {
      return {this, node.id};
    }
  }
  return kiln::scalar(*this, scalar_name, location);
}

void Graph::regularize(Tensor weight, double l2) {
  if (!(l2 >= 0 && l2 <= 1e30))
    throw UserError(weight.node().location, weight.node().layer,
                    fmt::format("the L2 factor must be from 0 to 1e30, got {}", l2));
  if (l2 > 0) regularizers.push_back({weight.id(), l2});
}

LayerScope::LayerScope(Graph& graph, const std::string& base, Location location)
    : graph_(graph), opened_(!graph.scope) {
  if (opened_) graph_.scope = Graph::Scope{location, graph_.fresh_layer(base), Role::forward};
}

LayerScope::~LayerScope() {
  if (opened_) graph_.scope.reset();
}

bool is_source(const Node& node) {
  return node.op == &input_operator || node.op == &parameter_operator || node.op == &scalar_operator;
}

}  // namespace kiln
