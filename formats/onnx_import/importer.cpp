#include "onnx_import/importer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "onnx_import/rules.h"
#include "parameters.h"

namespace kiln::from_onnx {

Network Importer::read() {
  const onnx::GraphProto& graph = model_.graph();
  for (const onnx::OperatorSetIdProto& set : model_.opset_import()) {
    if (set.domain().empty() || set.domain() == "ai.onnx") operator_set_ = set.version();
  }
  if (operator_set_ < 6)
    refuse(fmt::format("uses version {} of ONNX's operators, Kiln reads 6 and later", operator_set_));
  if (graph.sparse_initializer_size() > 0) refuse("has sparse tensors, which Kiln has not");
  for (const onnx::TensorProto& tensor : graph.initializer()) define(tensor.name(), known(tensor, true));
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (!values_.contains(input.name())) add_input(input);
  }
  for (const onnx::NodeProto& node : graph.node()) {
    for (const std::string& input : node.input()) users_[input].push_back(&node);
  }
  for (const onnx::ValueInfoProto& output : graph.output()) users_[output.name()].push_back(nullptr);
  for (int i = 0; i < graph.node_size(); ++i) {
    build.set_line(i + 1);
    read_node(graph.node(i));
  }
  if (graph.output_size() == 0) refuse("has no output");
  for (const onnx::ValueInfoProto& output : graph.output()) {
    const auto value = values_.find(output.name());
    if (value == values_.end() || !value->second.is_tensor() || value->second.positive)
      refuse(fmt::format("its output '{}' is not computed from its inputs", printable(output.name())));
    build.output(output.name(), in_order(value->second, identity_order(value->second.rank())));
  }
  return build.finish();
}

void Importer::refuse(const std::string& message) const { throw DataError(origin_ + ": " + message); }

void Importer::define(const std::string& name, Value value) {
  if (!values_.emplace(name, std::move(value)).second) refuse(fmt::format("'{}' is defined twice", printable(name)));
}

Value Importer::known(const onnx::TensorProto& tensor, bool trainable) const {
  Value value;
  value.shape = {tensor.dims().begin(), tensor.dims().end()};
  value.name = tensor.name();
  if (holds_integers(tensor)) {
    value.integers = integer_values(tensor, origin_);
  } else {
    value.numbers = std::make_shared<Array>(real_values(tensor, origin_));
    value.trainable = trainable;
  }
  return value;
}

void Importer::add_input(const onnx::ValueInfoProto& input) {
  const std::string name = printable(input.name());
  if (!input.type().has_tensor_type() || input.type().tensor_type().elem_type() != onnx::TensorProto::FLOAT)
    refuse(fmt::format("input '{}' is no tensor of f32", name));
  const onnx::TensorShapeProto& dims = input.type().tensor_type().shape();
  Ints shape;
  for (int d = 0; d < dims.dim_size(); ++d) {
    const onnx::TensorShapeProto_Dimension& dim = dims.dim(d);
    if (d == 0) {  // the batch, whatever it is called
      if (dim.has_dim_value()) batch = dim.dim_value();
      shape.push_back(kBatchExtent);
    } else if (dim.has_dim_value() && dim.dim_value() > 0) {
      shape.push_back(dim.dim_value());
    } else {
      refuse(fmt::format("input '{}': dimension {} ({}) has no size; export the model with a number there", name, d,
                         dim.has_dim_param() ? printable(dim.dim_param()) : "?"));
    }
  }
  if (shape.empty()) refuse(fmt::format("input '{}' has no batch dimension", name));
  define(input.name(), tensor(build.add_input(input.name(), shape), shape));
}

void Importer::read_node(const onnx::NodeProto& node) {
  Call call(node, origin_, operator_set_);
  const auto rule = rules().find(node.op_type());
  const bool own = node.domain().empty() || node.domain() == "ai.onnx";
  if (!own) call.refuse(fmt::format("is of the domain {}, which Kiln does not know", printable(node.domain())));
  if (rule == rules().end()) call.refuse("Kiln has no operator for it");
  for (const std::string& input : node.input()) {
    if (input.empty()) {
      call.inputs.push_back(nullptr);
      continue;
    }
    const auto value = values_.find(input);
    if (value == values_.end()) call.refuse(fmt::format("its input '{}' is not computed before it", printable(input)));
    call.inputs.push_back(&value->second);
  }
  if (operator_set_ < 7) {  // broadcasting with an axis is refused as an unknown attribute
    call.integer("broadcast", 0);
    if (call.integer("is_test", 1) == 0) call.refuse("is in training mode; export the model for inference");
  }
  if (node.output_size() == 0) call.refuse("has no output");
  try {
    Outputs outputs = rule->second(*this, call);
    call.require_all_read();
    for (int i = 0; i < node.output_size(); ++i) {
      if (i < static_cast<int>(outputs.values.size()))
        define(node.output(i), std::move(outputs.values[static_cast<size_t>(i)]));
      else if (users_.contains(node.output(i)))
        call.refuse(fmt::format("its output {} is used; Kiln has the first", i));
    }
  } catch (const DataError& error) {
    if (std::string(error.what()).starts_with(origin_)) throw;
    call.refuse(error.what());
  }
}

int Importer::unary(const std::string& op, int x, nlohmann::json attributes) {
  const Ints shape = build.shape(x);
  return build.add(op, {x}, std::move(attributes), shape);
}

int Importer::in_order(const Value& x, const Order& wanted) {
  if (x.order == wanted) return x.node;
  const size_t rank = x.rank();
  Ints axes(rank);
  for (size_t d = 0; d < rank; ++d) axes[wanted[d]] = static_cast<int64_t>(x.order[d]);
  const Ints from = build.shape(x.node), shape = in_graph(x.shape, wanted);
  // Where only dimensions of extent 1 move, elements stay in their places.
  Ints moved;
  for (const int64_t axis : axes) {
    if (from[static_cast<size_t>(axis)] != 1) moved.push_back(axis);
  }
  if (std::is_sorted(moved.begin(), moved.end())) return reshaped(x.node, shape);
  if (build.op(x.node) == "transpose") {  // two in a row are one
    const Ints before = build.attributes(x.node).at("axes").get<Ints>();
    for (int64_t& axis : axes) axis = before[static_cast<size_t>(axis)];
    const int source = build.inputs(x.node)[0];
    if (std::is_sorted(axes.begin(), axes.end())) return source;
    return build.add("transpose", {source}, {{"axes", axes}}, shape);
  }
  return build.add("transpose", {x.node}, {{"axes", axes}}, shape);
}

int Importer::plain(const Value& x) { return in_order(x, identity_order(x.rank())); }

int Importer::reshaped(int node, const Ints& shape) {
  while (build.op(node) == "reshape" || build.op(node) == "flatten") node = build.inputs(node)[0];
  if (build.shape(node) == shape) return node;
  if (shape.size() == 2 && shape[0] == kBatchExtent && build.shape(node).size() > 2)
    return build.add("flatten", {node}, nlohmann::json::object(), shape);
  return build.add("reshape", {node}, {{"shape", shape}}, shape);
}

Value Importer::with_shape(const Value& x, const Ints& shape) {
  if (x.positive) throw DataError("takes real numbers");
  if (x.is_tensor()) return tensor(reshaped(plain(x), shape), shape);
  Value result = x;
  result.shape = shape;
  if (x.numbers) result.numbers = std::make_shared<Array>(Array{shape, x.numbers->values});
  return result;
}

Value Importer::as_tensor(Call& call, size_t i) {
  const Value& value = call[i];
  if (value.integers || value.positive) call.refuse("takes real numbers here");
  if (value.is_tensor()) return value;
  return tensor(build.add_parameter(value.name, *value.numbers, value.trainable), value.shape);
}

/// Known numbers as a node that broadcasts against a value of this order; leading dimensions of 1 may be `dropped`.
int Importer::operand(const Value& numbers, const Order& order, bool dropped) {
  const Array& array = *numbers.numbers;
  if (array.values.size() == 1) return build.add_constant(as_written(array.values[0]));
  Array aligned = array;
  aligned.shape.insert(aligned.shape.begin(), order.size() - array.shape.size(), 1);
  aligned = transposed(aligned, inverse(order));
  while (dropped && aligned.shape.size() > 1 && aligned.shape[0] == 1) aligned.shape.erase(aligned.shape.begin());
  // One for each use: exporters write equal tensors once, whether they belong together or not.
  return build.add_parameter(numbers.name, std::move(aligned), numbers.trainable);
}

Value Importer::combine(Call& call, const std::string& op, const std::vector<Value>& values) {
  const auto is_number = [](const Value& value) { return value.numbers && value.numbers->values.size() == 1; };
  Ints theirs, shape;  // single numbers have no shape in Kiln
  for (const Value& value : values) {
    if (value.integers || value.positive) call.refuse("takes real numbers here");
    theirs = broadcast(call, theirs, value.shape);
    if (!is_number(value)) shape = broadcast(call, shape, value.shape);
  }
  // The layout of the first tensor of full rank; where there is none, ONNX's.
  std::optional<Order> order;
  for (const Value& value : values) {
    if (!value.is_tensor()) continue;
    if (value.batched() && value.rank() != theirs.size()) {
      call.refuse(
          fmt::format("the batch of {} would not be the first dimension of {}", text(value.shape), text(theirs)));
    }
    if (!order && value.rank() == shape.size()) order = value.order;
  }
  const bool has_full = order.has_value();
  if (!has_full) order = identity_order(shape.size());
  std::vector<int> inputs;
  for (const Value& value : values) {
    if (value.numbers) {
      inputs.push_back(operand(value, *order, has_full));
    } else {
      Ints full = value.shape;
      full.insert(full.begin(), shape.size() - full.size(), 1);
      inputs.push_back(in_order(full == value.shape ? value : with_shape(value, full), *order));
    }
  }
  const int node = build.add(op, inputs, nlohmann::json::object(), in_graph(shape, *order));
  const Value result = {.shape = shape, .node = node, .order = *order};
  return shape == theirs ? result : with_shape(result, theirs);
}

std::optional<Array> Importer::added_bias(Call& call, int64_t count, size_t behind) {
  const std::string& name = call.node.output(0);
  const auto users = users_.find(name);
  if (users == users_.end() || users->second.size() != 1 || users->second[0] == nullptr) return std::nullopt;
  const onnx::NodeProto& add = *users->second[0];
  if (add.op_type() != "Add" || add.input_size() != 2) return std::nullopt;
  const auto other = values_.find(add.input(add.input(0) == name ? 1 : 0));
  if (other == values_.end() || !other->second.numbers) return std::nullopt;
  const Array& added = *other->second.numbers;
  const size_t rank = added.shape.size();
  if (static_cast<int64_t>(added.values.size()) != count || rank < behind + 1 || rank > behind + 2 ||
      added.shape[rank - 1 - behind] != count)
    return std::nullopt;
  biased_.insert(name);
  return Array{{count}, added.values};
}

Ints broadcast(const Call& call, const Ints& a, const Ints& b) {
  const size_t rank = std::max(a.size(), b.size());
  Ints result(rank);
  for (size_t i = 0; i < rank; ++i) {  // from the last on
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1)
      call.refuse(fmt::format("the shapes {} and {} do not fit together", text(a), text(b)));
    result[rank - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

double glorot(int64_t inputs, int64_t outputs) { return std::sqrt(6.0 / static_cast<double>(inputs + outputs)); }

}  // namespace kiln::from_onnx
