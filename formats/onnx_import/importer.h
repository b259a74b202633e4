#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network.h"
#include "onnx_import/call.h"

namespace kiln::from_onnx {

/// An ONNX model on its way to a network: what its names stand for, and how values become nodes of the graph.
class Importer {
 public:
  Importer(const onnx::ModelProto& model, const std::string& origin, const std::string& name)
      : build(name, origin), model_(model), origin_(origin) {}

  Network read();

  // For the rules (rules.h).

  int unary(const std::string& op, int x, nlohmann::json attributes = nlohmann::json::object());
  /// An operator of several values that broadcast against each other.
  Value combine(Call& call, const std::string& op, const std::vector<Value>& values);

  /// A node of the value whose dimensions lie in this order.
  int in_order(const Value& x, const Order& wanted);
  /// A tensor's node in ONNX's order.
  int plain(const Value& x);
  int reshaped(int node, const Ints& shape);
  /// A value of any kind with the same elements under another shape.
  Value with_shape(const Value& x, const Ints& shape);
  /// An input as a tensor of the graph.
  Value as_tensor(Call& call, size_t i);
  /// What a tensor of the file stands for.
  Value known(const onnx::TensorProto& tensor, bool trainable) const;

  /// The constant that an Add adds to each of `count` features of the node's result, where that is the result's only
  /// use; that Add then does nothing. `behind` dimensions lie behind the features.
  std::optional<Array> added_bias(Call& call, int64_t count, size_t behind);
  /// Whether what is added to this result became a bias.
  bool is_biased(const std::string& name) const { return biased_.contains(name); }

  NetworkBuilder build;
  std::optional<int64_t> batch;  // where the inputs have a number in its place

 private:
  [[noreturn]] void refuse(const std::string& message) const;
  void define(const std::string& name, Value value);
  void add_input(const onnx::ValueInfoProto& input);
  void read_node(const onnx::NodeProto& node);
  int operand(const Value& numbers, const Order& order, bool dropped);

  const onnx::ModelProto& model_;
  const std::string& origin_;
  int64_t operator_set_ = 0;
  std::map<std::string, Value> values_;
  std::map<std::string, std::vector<const onnx::NodeProto*>> users_;  // null: the graph's outputs
  std::set<std::string> biased_;
};

/// The shape of both, by ONNX's rules.
Ints broadcast(const Call& call, const Ints& a, const Ints& b);

/// The bound of a kernel's first values where it is trained anew (Keras's).
double glorot(int64_t inputs, int64_t outputs);

}  // namespace kiln::from_onnx
