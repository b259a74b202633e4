#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/operator.h"

namespace kiln {

class Graph;

/// Index of a node in its graph; nodes are in topological order.
using NodeId = int;

/// Why a node exists; with its layer it names kernels: "conv2d_1.weight_gradient".
enum class Role { prepare, forward, gradient, input_gradient, weight_gradient, update, loss };
const char* to_string(Role role);

struct Node {
  NodeId id = -1;
  const Operator* op = nullptr;
  std::vector<NodeId> inputs;
  Attributes attributes;
  Type type;
  Location location;
  std::string layer;  // the user-level call it came from: "conv2d_1"
  Role role = Role::forward;
};

/// A handle on a node while a graph is being built.
class Tensor {
 public:
  /// Empty; remembers where it was declared, for the error of who uses it before anything was assigned.
  Tensor(Location declared = Location::here()) : declared_(declared) {}
  Tensor(Graph* graph, NodeId id) : graph_(graph), id_(id), declared_() {}

  explicit operator bool() const { return graph_ != nullptr; }
  /// Throws a UserError when the tensor is empty: declared, but never assigned.
  Graph& graph() const;
  NodeId id() const { return id_; }
  const Node& node() const;
  const Type& type() const { return node().type; }
  const Shape& shape() const { return node().type.shape; }

 private:
  Graph* graph_ = nullptr;
  NodeId id_ = -1;
  Location declared_;
};

/// A Tensor argument of an overloaded operator (a + b), which has no room for a location of its own.
struct Operand {
  Operand(Tensor tensor, Location location = Location::here()) : tensor(tensor), location(location) {}
  Tensor tensor;
  Location location;
};

/// How a parameter's first values are drawn: `constant` (every element `scale`), `uniform` in [-scale, scale], or
/// `normal`, Keras's truncated normal (drawn again beyond two standard deviations) of standard deviation `scale`.
struct Initializer {
  enum class Kind { constant, uniform, normal } kind = Kind::constant;
  double scale = 0;
};

Initializer zeros();
Initializer ones();
Initializer glorot_uniform(int64_t fan_in, int64_t fan_out);
Initializer he_normal(int64_t fan_in);
Initializer lecun_normal(int64_t fan_in);

struct Output {
  std::string name;
  NodeId node;
};

/// After the step, `parameter` (a parameter node) holds `value`.
struct Update {
  NodeId parameter;
  NodeId value;
};

/// The rule of one weight's update, written in the DSL.
struct OptimizerCall {
  Graph& graph;
  Tensor weight, gradient, learning_rate;
  Tensor step;  // steps done before this one, int32 scalar
  std::string name;
  /// A state tensor of the weight's shape, zero at first: "<weight>/<name>".
  Tensor state(const std::string& name) const;
};

struct Optimizer {
  std::string name;
  double learning_rate = 1e-3;  // default of the trainer's --learning-rate
  std::function<void(const OptimizerCall&)> update;
  // Keras's clipvalue, clipnorm and global_clipnorm, at most one of them; 0: off.
  double clip_value = 0, clip_norm = 0, global_clip_norm = 0;
  Attributes constants = {};  // of its rule, by Keras's names: for who writes the optimizer down elsewhere
};

/// What contractions are computed in. `mixed` rounds what they multiply to bf16 and adds the products up in f32, where
/// that pays; weights, their updates and everything else stay f32, and so do saved states.
enum class Precision { f32, mixed };
const char* to_string(Precision precision);

struct TrainingOptions {
  Tensor loss;
  Optimizer optimizer;
  int64_t batch = 64;
  int64_t epochs = 1;                    // default of the trainer's --epochs
  double validation_split = 0.2;         // default of the trainer's --validation-split
  Precision precision = Precision::f32;  // of all programs, prediction too; the compiler's --precision overrides it
};

/// A static computation graph: values only, nothing is executed. Passes take one and return another.
class Graph {
 public:
  /// The name, an identifier, is that of the files and symbols that are made of it.
  Graph(std::string name = "graph", Location location = Location::here());

  // --- what a graph file calls ---

  /// An input of one sample's `shape` (the batch dimension is added), of real numbers.
  Tensor input(const std::string& name, Shape shape, Location location = Location::here());
  /// Class labels 0..classes-1, one-hot: shape N x classes.
  Tensor label(const std::string& name, int64_t classes, Location location = Location::here());
  /// Names a result of prediction.
  void output(const std::string& name, Tensor value, Location location = Location::here());
  /// Names a scalar (the mean over the batch) that training and evaluation report.
  void metric(const std::string& name, Tensor value, Location location = Location::here());
  void train(TrainingOptions options, Location location = Location::here());
  /// A trainable (or not) tensor of the program's state, of one's own: "<name>", or inside a layer "<layer>/<name>".
  Tensor parameter(const std::string& name, Shape shape, Initializer initializer, bool trainable,
                   Location location = Location::here());
  /// A number or tensor of one value.
  Tensor constant(double value, Location location = Location::here());

  // --- what operators call ---

  Tensor append(const Operator& op, const std::vector<Tensor>& inputs, Attributes attributes, Location location);
  /// The parameter holds the value, of its shape, after the step. At most once for each.
  void update(Tensor parameter, Tensor value);
  /// A number that the runtime passes to each step: "learning_rate" (real), "step", "seed", "count" (int32).
  Tensor scalar(const std::string& name, Location location = Location::here());
  /// Adds `factor * sum(weight^2)` to the training loss.
  void regularize(Tensor weight, double l2);
  /// A fresh layer name for a user-level call: "conv2d", "conv2d_1", ...
  std::string fresh_layer(const std::string& base);

  /// While a scope is open, appended nodes take its location, layer and role: expansions and gradient rules run in
  /// the scope of the node they rewrite.
  struct Scope {
    Location location;
    std::string layer;
    Role role = Role::forward;
  };
  std::optional<Scope> scope;

  const Node& node(NodeId id) const { return nodes.at(id); }
  std::vector<Type> input_types(const Node& node) const;
  Call call(const Node& node) const;

  struct Regularizer {
    NodeId weight;
    double l2;
  };

  std::string name;
  std::map<std::string, int> layer_counts;  // user-level calls so far, by operator
  std::deque<Node> nodes;                   // a deque: references stay valid while rules append
  std::vector<Output> outputs;
  std::vector<Output> metrics;
  std::vector<Update> updates;
  std::vector<Regularizer> regularizers;
  std::optional<NodeId> loss;
  Optimizer optimizer;
  int64_t batch = 64;
  int64_t epochs = 1;
  double validation_split = 0.2;
  Precision precision = Precision::f32;
  Location train_location;
};

/// Opens a scope for one user-level call, so that a layer's parameters and nodes share its name and location; within
/// another scope (an expansion) it changes nothing.
class LayerScope {
 public:
  LayerScope(Graph& graph, const std::string& base, Location location);
  ~LayerScope();
  LayerScope(const LayerScope&) = delete;
  LayerScope& operator=(const LayerScope&) = delete;

 private:
  Graph& graph_;
  bool opened_;
};

/// True for the operators `input`, `parameter`, `scalar`: values that the program is given.
bool is_source(const Node& node);

}  // namespace kiln
