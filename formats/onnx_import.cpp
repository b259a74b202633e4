#include "onnx_import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include "error.h"
#include "onnx_file.h"
#include "parameters.h"
#include "structure.h"

namespace kiln {
namespace {

using Ints = std::vector<int64_t>;
using Order = std::vector<size_t>;

/// In shape arithmetic: the number of rows, which is not known.
constexpr int64_t kBatchSymbol = std::numeric_limits<int64_t>::min();
constexpr int64_t kMost = 1 << 24;  // of a window's size, stride, dilation or padding
constexpr int64_t kMostConstants = 1 << 16;

const Order kImage = {0, 3, 1, 2};  // ONNX's N x C x H x W in Kiln's N x H x W x C

Order identity_order(size_t rank) {
  Order order(rank);
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

/// What a name of ONNX's stands for: a tensor in the graph, known real numbers, or integers of shape arithmetic.
///
/// Of a tensor, dimension d is dimension order[d] of the graph's node: a Transpose costs nothing, images come to be in
/// Kiln's layout where a convolution first wants them so, and stay in it until something depends on their order.
struct Value {
  Ints shape;  // as ONNX has it; kBatchExtent for the batch
  int node = -1;
  Order order = {};
  bool positive = false;  // stands for node > 0: the condition of a Where
  std::shared_ptr<const Array> numbers = nullptr;
  bool trainable = false;  // of numbers: the model's weights, not constants of its text
  std::string name = "";
  std::optional<Ints> integers = std::nullopt;

  size_t rank() const { return shape.size(); }
  bool batched() const { return !shape.empty() && shape[0] == kBatchExtent; }
  bool is_tensor() const { return node >= 0; }
};

/// A node of the file while it is read: whatever of it nobody asks for is an error.
class Call {
 public:
  Call(const onnx::NodeProto& node, const std::string& origin, int64_t operator_set)
      : node(node), operator_set(operator_set), origin_(origin) {
    for (const onnx::AttributeProto& attribute : node.attribute()) unread_.insert(attribute.name());
  }

  [[noreturn]] void refuse(const std::string& message) const {
    throw DataError(fmt::format("{}: node '{}' ({}): {}", origin_,
                                printable(!node.name().empty()     ? node.name()
                                          : node.output_size() > 0 ? node.output(0)
                                                                   : ""),
                                printable(node.op_type()), message));
  }

  int64_t integer(const char* name, int64_t otherwise) {
    const auto* a = find(name, onnx::AttributeProto::INT);
    return a == nullptr ? otherwise : a->i();
  }
  double real(const char* name, double otherwise) {
    const auto* a = find(name, onnx::AttributeProto::FLOAT);
    if (a != nullptr && !std::isfinite(a->f())) refuse(fmt::format("attribute {} is infinite or not a number", name));
    return a == nullptr ? otherwise : as_written(a->f());
  }
  std::string text(const char* name, const std::string& otherwise) {
    const auto* a = find(name, onnx::AttributeProto::STRING);
    return a == nullptr ? otherwise : a->s();
  }
  std::optional<Ints> integers(const char* name) {
    const auto* a = find(name, onnx::AttributeProto::INTS);
    if (a == nullptr) return std::nullopt;
    return Ints(a->ints().begin(), a->ints().end());
  }
  /// An attribute of the type that ONNX gives it, or null.
  const onnx::AttributeProto* find(const std::string& name, onnx::AttributeProto::AttributeType type) {
    unread_.erase(name);
    for (const onnx::AttributeProto& a : node.attribute()) {
      if (a.name() != name) continue;
      if (a.type() != type || !a.ref_attr_name().empty())
        refuse(fmt::format("attribute {} has another type than ONNX says", name));
      return &a;
    }
    return nullptr;
  }

  /// An attribute that may have one value only.
  void require(const char* name, int64_t value) {
    const int64_t found = integer(name, value);
    if (found != value) refuse(fmt::format("attribute {} is {}, Kiln has {}", name, found, value));
  }

  void require_all_read() const {
    if (!unread_.empty()) refuse(fmt::format("Kiln knows no attribute {} of it", printable(*unread_.begin())));
    if (node.input_size() > static_cast<int>(used_inputs))
      refuse(fmt::format("has {} inputs, Kiln knows {}", node.input_size(), used_inputs));
  }

  bool has(size_t i) const { return inputs.size() > i && inputs[i] != nullptr; }
  const Value& operator[](size_t i) {
    used_inputs = std::max(used_inputs, i + 1);
    if (!has(i)) refuse(fmt::format("lacks input {}", i));
    return *inputs[i];
  }
  /// Whether there is an input that need not be.
  bool optional(size_t i) {
    used_inputs = std::max(used_inputs, i + 1);
    return has(i);
  }
  const Value& tensor_input(size_t i) {
    const Value& value = (*this)[i];
    if (!value.is_tensor() || value.positive)
      refuse(fmt::format("input {} is a constant, where Kiln takes a computed value", i));
    return value;
  }
  const Array& numbers(size_t i, const char* what) {
    const Value& value = (*this)[i];
    if (!value.numbers) refuse(fmt::format("its {} is computed; Kiln takes a constant", what));
    return *value.numbers;
  }
  const Ints& known_integers(size_t i, const char* what) {
    const Value& value = (*this)[i];
    if (!value.integers) refuse(fmt::format("its {} is computed; Kiln takes a constant", what));
    return *value.integers;
  }

  /// An axis of a value of that rank, counted from its end where it is negative.
  size_t axis(int64_t given, size_t rank) const {
    const int64_t axis = given < 0 ? given + static_cast<int64_t>(rank) : given;
    if (axis < 0 || axis >= static_cast<int64_t>(rank))
      refuse(fmt::format("axis {} is not one of {} dimensions", given, rank));
    return static_cast<size_t>(axis);
  }

  const onnx::NodeProto& node;
  const int64_t operator_set;
  std::vector<const Value*> inputs;
  size_t used_inputs = 0;

 private:
  const std::string& origin_;
  std::set<std::string> unread_;
};

// Names of Kiln's operators as template arguments.
constexpr char kAbs[] = "abs", kErf[] = "erf", kExp[] = "exp", kLog[] = "log", kRelu[] = "relu", kSigmoid[] = "sigmoid",
               kSoftplus[] = "softplus", kSqrt[] = "sqrt", kTanh[] = "tanh", kSubtract[] = "subtract",
               kMultiply[] = "multiply", kDivide[] = "divide", kAdd[] = "add", kMaximum[] = "maximum",
               kMinimum[] = "minimum", kReduceSum[] = "reduce_sum", kReduceMean[] = "reduce_mean",
               kReduceMax[] = "reduce_max", kReduceMin[] = "reduce_min";

class Importer {
 public:
  Importer(const onnx::ModelProto& model, const std::string& origin, const std::string& name)
      : model_(model), origin_(origin), build_(name, origin) {}

  Network read() {
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
      build_.set_line(i + 1);
      read_node(graph.node(i));
    }
    if (graph.output_size() == 0) refuse("has no output");
    for (const onnx::ValueInfoProto& output : graph.output()) {
      const auto value = values_.find(output.name());
      if (value == values_.end() || !value->second.is_tensor() || value->second.positive)
        refuse(fmt::format("its output '{}' is not computed from its inputs", printable(output.name())));
      build_.output(output.name(), in_order(value->second, identity_order(value->second.rank())));
    }
    return build_.finish();
  }

  using Handler = Value (Importer::*)(Call&);
  static const std::map<std::string, Handler>& handlers();

 private:
  [[noreturn]] void refuse(const std::string& message) const { throw DataError(origin_ + ": " + message); }

  void define(const std::string& name, Value value) {
    if (!values_.emplace(name, std::move(value)).second) refuse(fmt::format("'{}' is defined twice", printable(name)));
  }

  Value known(const onnx::TensorProto& tensor, bool trainable) const {
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

  void add_input(const onnx::ValueInfoProto& input) {
    const std::string name = printable(input.name());
    if (!input.type().has_tensor_type() || input.type().tensor_type().elem_type() != onnx::TensorProto::FLOAT)
      refuse(fmt::format("input '{}' is no tensor of f32", name));
    const onnx::TensorShapeProto& dims = input.type().tensor_type().shape();
    Ints shape;
    for (int d = 0; d < dims.dim_size(); ++d) {
      const onnx::TensorShapeProto_Dimension& dim = dims.dim(d);
      if (d == 0) {  // the batch, whatever it is called
        if (dim.has_dim_value()) batch_ = dim.dim_value();
        shape.push_back(kBatchExtent);
      } else if (dim.has_dim_value() && dim.dim_value() > 0) {
        shape.push_back(dim.dim_value());
      } else {
        refuse(fmt::format("input '{}': dimension {} ({}) has no size; export the model with a number there", name, d,
                           dim.has_dim_param() ? printable(dim.dim_param()) : "?"));
      }
    }
    if (shape.empty()) refuse(fmt::format("input '{}' has no batch dimension", name));
    define(input.name(), tensor(build_.add_input(input.name(), shape), shape));
  }

  void read_node(const onnx::NodeProto& node) {
    Call call(node, origin_, operator_set_);
    const auto handler = handlers().find(node.op_type());
    const bool own = node.domain().empty() || node.domain() == "ai.onnx";
    if (!own) call.refuse(fmt::format("is of the domain {}, which Kiln does not know", printable(node.domain())));
    if (handler == handlers().end() && node.op_type() != "Split") call.refuse("Kiln has no operator for it");
    for (const std::string& input : node.input()) {
      if (input.empty()) {
        call.inputs.push_back(nullptr);
        continue;
      }
      const auto value = values_.find(input);
      if (value == values_.end())
        call.refuse(fmt::format("its input '{}' is not computed before it", printable(input)));
      call.inputs.push_back(&value->second);
    }
    if (operator_set_ < 7) {  // broadcasting with an axis is refused as an unknown attribute
      call.integer("broadcast", 0);
      if (call.integer("is_test", 1) == 0) call.refuse("is in training mode; export the model for inference");
    }
    if (node.output_size() == 0) call.refuse("has no output");
    try {
      if (node.op_type() == "Split") return split(call);
      Value result = (this->*handler->second)(call);
      call.require_all_read();
      for (int i = 1; i < node.output_size(); ++i) {
        if (users_.contains(node.output(i))) call.refuse(fmt::format("its output {} is used; Kiln has the first", i));
      }
      define(node.output(0), std::move(result));
    } catch (const DataError& error) {
      if (std::string(error.what()).starts_with(origin_)) throw;
      call.refuse(error.what());
    }
  }

  // --- values ---

  Value tensor(int node, Ints shape) const {
    Order order = identity_order(shape.size());
    return {.shape = std::move(shape), .node = node, .order = std::move(order)};
  }
  /// A node in the layout of another value.
  static Value like(const Value& x, int node, Ints shape) {
    return {.shape = std::move(shape), .node = node, .order = x.order};
  }
  static Value like(const Value& x, int node) { return like(x, node, x.shape); }

  static Value constant_of(Array array, const Value& from) {
    Value value;
    value.shape = array.shape;
    value.numbers = std::make_shared<Array>(std::move(array));
    value.trainable = from.trainable;
    value.name = from.name;
    return value;
  }
  static Value integers_of(Ints values) {
    Value value;
    value.shape = {static_cast<int64_t>(values.size())};
    value.integers = std::move(values);
    return value;
  }

  /// A shape in the graph's order of dimensions.
  static Ints in_graph(const Ints& shape, const Order& order) {
    Ints result(shape.size());
    for (size_t d = 0; d < shape.size(); ++d) result[order[d]] = shape[d];
    return result;
  }

  int unary(const std::string& op, int x, nlohmann::json attributes = nlohmann::json::object()) {
    const Ints shape = build_.shape(x);
    return build_.add(op, {x}, std::move(attributes), shape);
  }

  /// A node of the value whose dimensions lie in this order.
  int in_order(const Value& x, const Order& wanted) {
    if (x.order == wanted) return x.node;
    const size_t rank = x.rank();
    Ints axes(rank);
    for (size_t d = 0; d < rank; ++d) axes[wanted[d]] = static_cast<int64_t>(x.order[d]);
    const Ints from = build_.shape(x.node), shape = in_graph(x.shape, wanted);
    // Where only dimensions of extent 1 move, elements stay in their places.
    Ints moved;
    for (const int64_t axis : axes) {
      if (from[static_cast<size_t>(axis)] != 1) moved.push_back(axis);
    }
    if (std::is_sorted(moved.begin(), moved.end())) return reshaped(x.node, shape);
    if (build_.op(x.node) == "transpose") {  // two in a row are one
      const Ints before = build_.attributes(x.node).at("axes").get<Ints>();
      for (int64_t& axis : axes) axis = before[static_cast<size_t>(axis)];
      const int source = build_.inputs(x.node)[0];
      if (std::is_sorted(axes.begin(), axes.end())) return source;
      return build_.add("transpose", {source}, {{"axes", axes}}, shape);
    }
    return build_.add("transpose", {x.node}, {{"axes", axes}}, shape);
  }

  /// A tensor's node in ONNX's order.
  int plain(const Value& x) { return in_order(x, identity_order(x.rank())); }

  int reshaped(int node, const Ints& shape) {
    while (build_.op(node) == "reshape" || build_.op(node) == "flatten") node = build_.inputs(node)[0];
    if (build_.shape(node) == shape) return node;
    if (shape.size() == 2 && shape[0] == kBatchExtent && build_.shape(node).size() > 2)
      return build_.add("flatten", {node}, nlohmann::json::object(), shape);
    return build_.add("reshape", {node}, {{"shape", shape}}, shape);
  }

  /// A value of any kind with the same elements under another shape.
  Value with_shape(const Value& x, const Ints& shape) {
    if (x.positive) throw DataError("takes real numbers");
    if (x.is_tensor()) return tensor(reshaped(plain(x), shape), shape);
    Value result = x;
    result.shape = shape;
    if (x.numbers) result.numbers = std::make_shared<Array>(Array{shape, x.numbers->values});
    return result;
  }

  /// Known numbers as a node that broadcasts against a value of this order; leading dimensions of 1 may be `dropped`.
  int operand(const Value& numbers, const Order& order, bool dropped) {
    const Array& array = *numbers.numbers;
    if (array.values.size() == 1) return build_.add_constant(as_written(array.values[0]));
    Array aligned = array;
    aligned.shape.insert(aligned.shape.begin(), order.size() - array.shape.size(), 1);
    aligned = transposed(aligned, inverse(order));
    while (dropped && aligned.shape.size() > 1 && aligned.shape[0] == 1) aligned.shape.erase(aligned.shape.begin());
    // One for each use: exporters write equal tensors once, whether they belong together or not.
    return build_.add_parameter(numbers.name, std::move(aligned), numbers.trainable);
  }

  static Ints broadcast(const Call& call, const Ints& a, const Ints& b) {
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

  static std::string text(const Ints& shape) {
    std::vector<std::string> extents;
    for (const int64_t extent : shape) extents.push_back(extent == kBatchExtent ? "N" : std::to_string(extent));
    return extents.empty() ? "of one number" : fmt::format("{}", fmt::join(extents, "x"));
  }

  /// An operator of several values that broadcast against each other.
  Value combine(Call& call, const std::string& op, const std::vector<Value>& values) {
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
    const int node = build_.add(op, inputs, nlohmann::json::object(), in_graph(shape, *order));
    const Value result = {.shape = shape, .node = node, .order = *order};
    return shape == theirs ? result : with_shape(result, theirs);
  }

  Value number(double value) {
    Value result;
    result.numbers = std::make_shared<Array>(Array{{}, {static_cast<float>(value)}});
    return result;
  }

  /// A value as a tensor of the graph.
  Value as_tensor(Call& call, size_t i) {
    const Value& value = call[i];
    if (value.integers || value.positive) call.refuse("takes real numbers here");
    if (value.is_tensor()) return value;
    return tensor(build_.add_parameter(value.name, *value.numbers, value.trainable), value.shape);
  }

  // --- operators ---

  template <const char* op>
  Value element_wise(Call& call) {
    const Value x = as_tensor(call, 0);
    return like(x, unary(op, x.node));
  }

  Value with_number(Call& call, const std::string& op, const char* theirs, const char* ours, double otherwise) {
    const Value x = as_tensor(call, 0);
    return like(x, unary(op, x.node, {{ours, call.real(theirs, otherwise)}}));
  }
  Value leaky_relu(Call& call) { return with_number(call, "leaky_relu", "alpha", "negative_slope", 0.01); }
  Value elu(Call& call) { return with_number(call, "elu", "alpha", "alpha", 1); }

  Value selu(Call& call) {
    const Value x = as_tensor(call, 0);
    const double alpha = call.real("alpha", 1.6732632), gamma = call.real("gamma", 1.050701);
    if (std::abs(alpha - 1.6732632423543772) > 1e-6 || std::abs(gamma - 1.0507009873554805) > 1e-6) {
      const Value curve = like(x, unary("elu", x.node, {{"alpha", alpha}}));
      return combine(call, "multiply", {curve, number(gamma)});
    }
    return like(x, unary("selu", x.node));
  }

  Value gelu(Call& call) {
    const Value x = as_tensor(call, 0);
    const std::string how = call.text("approximate", "none");
    if (how != "none" && how != "tanh") call.refuse(fmt::format("attribute approximate is {}", printable(how)));
    return like(x, unary("gelu", x.node, {{"approximate", how == "tanh"}}));
  }

  Value negate(Call& call) {
    const Value x = as_tensor(call, 0);
    // -max(-x) of windows has a name of its own.
    if (build_.op(x.node) == "max_pool" && build_.op(build_.inputs(x.node)[0]) == "negate") {
      const int source = build_.inputs(build_.inputs(x.node)[0])[0];
      const Ints shape = build_.shape(x.node);
      return like(x, build_.add("min_pool", {source}, build_.attributes(x.node), shape));
    }
    return like(x, unary("negate", x.node));
  }

  /// min(max(alpha * x + beta, 0), 1)
  Value hard_sigmoid_of(Call& call, const Value& x, double alpha, double beta) {
    const Value line = combine(call, "add", {combine(call, "multiply", {x, number(alpha)}), number(beta)});
    return like(line, unary("clip", line.node, {{"min", 0.0}, {"max", 1.0}}));
  }
  Value hard_sigmoid(Call& call) {
    const double alpha = call.real("alpha", 0.2), beta = call.real("beta", 0.5);
    return hard_sigmoid_of(call, as_tensor(call, 0), alpha, beta);
  }
  Value hard_swish(Call& call) {
    const Value x = as_tensor(call, 0);
    return combine(call, "multiply", {x, hard_sigmoid_of(call, x, 1.0 / 6, 0.5)});
  }
  Value mish(Call& call) {
    const Value x = as_tensor(call, 0);
    return combine(call, "multiply", {x, like(x, unary("tanh", unary("softplus", x.node)))});
  }
  Value softsign(Call& call) {
    const Value x = as_tensor(call, 0);
    return combine(call, "divide", {x, combine(call, "add", {like(x, unary("abs", x.node)), number(1)})});
  }
  Value reciprocal(Call& call) { return combine(call, "divide", {number(1), as_tensor(call, 0)}); }
  Value prelu(Call& call) {
    const Value x = as_tensor(call, 0);
    return combine(call, "where_positive", {x, x, combine(call, "multiply", {x, call[1]})});
  }

  Value power(Call& call) {
    const Value x = as_tensor(call, 0);
    const Array& exponent = call.numbers(1, "exponent");
    const float power = exponent.values.size() == 1 ? exponent.values[0] : 0;
    if (power == 1) return x;
    if (power == 2) return like(x, unary("square", x.node));
    if (power == 3) return combine(call, "multiply", {x, like(x, unary("square", x.node))});
    if (power == 0.5F) return like(x, unary("sqrt", x.node));
    call.refuse("its exponent is none of 0.5, 1, 2 and 3");
  }

  Value clip(Call& call) {
    const Value x = as_tensor(call, 0);
    double low = -INFINITY, high = INFINITY;
    const auto bound = [&](size_t i, const char* name, double& value) {
      if (call.operator_set < 11) {
        value = call.real(name, value);
      } else if (call.optional(i)) {
        if (call.numbers(i, name).values.size() != 1) call.refuse(fmt::format("its {} is no single number", name));
        value = as_written(call.numbers(i, name).values[0]);
      }
    };
    bound(1, "min", low);
    bound(2, "max", high);
    if (low == 0 && high == INFINITY) return like(x, unary("relu", x.node));
    if (std::abs(low) < 1e38 && std::abs(high) < 1e38) {
      // ONNX: where min is above max, everything is max.
      return like(x, unary("clip", x.node, {{"min", std::min(low, high)}, {"max", high}}));
    }
    Value result = x;
    if (std::abs(low) < 1e38) result = combine(call, "maximum", {result, number(low)});
    if (std::abs(high) < 1e38) result = combine(call, "minimum", {result, number(high)});
    return result;
  }

  template <const char* op>
  Value binary(Call& call) {
    const Value &a = call[0], &b = call[1];
    if (a.integers && b.integers) return integer_arithmetic(call, op, a, b);
    if (op == std::string("multiply") && call.node.input(0) == call.node.input(1) && a.is_tensor())
      return like(a, unary("square", a.node));
    return combine(call, op, {a, b});
  }

  template <const char* op>
  Value many(Call& call) {
    Value result = call.inputs.size() == 1 ? as_tensor(call, 0) : call[0];
    for (size_t i = 1; i < call.inputs.size(); ++i) result = combine(call, op, {result, call[i]});
    return result;
  }

  Value mean(Call& call) {
    const Value sum = many<kAdd>(call);
    const auto count = static_cast<double>(call.inputs.size());
    return count == 1 ? sum : combine(call, "divide", {sum, number(count)});
  }

  Value integer_arithmetic(Call& call, const std::string& op, const Value& a, const Value& b) {
    const size_t count = std::max(a.integers->size(), b.integers->size());
    Ints result;
    for (size_t i = 0; i < count; ++i) {
      if ((a.integers->size() != count && a.integers->size() != 1) ||
          (b.integers->size() != count && b.integers->size() != 1))
        call.refuse("the shapes do not fit together");
      const int64_t x = (*a.integers)[a.integers->size() == 1 ? 0 : i],
                    y = (*b.integers)[b.integers->size() == 1 ? 0 : i];
      if (x == kBatchSymbol || y == kBatchSymbol) call.refuse("counts with the number of rows, which Kiln does not");
      if (std::abs(x) > INT32_MAX || std::abs(y) > INT32_MAX) call.refuse("counts with impossible extents");
      if (op == "divide" && y == 0) call.refuse("divides by zero");
      result.push_back(op == "add" ? x + y : op == "subtract" ? x - y : op == "multiply" ? x * y : x / y);
    }
    Value value = integers_of(result);
    value.shape = broadcast(call, a.shape, b.shape);
    if (element_count(value.shape) != static_cast<int64_t>(count)) call.refuse("the shapes do not fit together");
    return value;
  }

  Value greater(Call& call) {
    const Value x = as_tensor(call, 0);
    const Array& other = call.numbers(1, "right side");
    if (other.values.size() != 1 || other.values[0] != 0) call.refuse("compares with something else than 0");
    Value result = x;
    result.positive = true;
    return result;
  }
  Value where(Call& call) {
    Value condition = call[0];
    if (!condition.positive) call.refuse("its condition is not a Greater of 0");
    condition.positive = false;
    return combine(call, "where_positive", {condition, call[1], call[2]});
  }

  Value identity(Call& call) { return call[0]; }

  Value dropout(Call& call) {
    double rate = call.real("ratio", 0.5);
    call.integer("seed", 0);
    if (call.optional(1)) {
      if (call.numbers(1, "ratio").values.size() != 1) call.refuse("its ratio is no single number");
      rate = as_written(call.numbers(1, "ratio").values[0]);
    }
    if (call.optional(2) && call.known_integers(2, "training_mode") != Ints{0})
      call.refuse("is in training mode; export the model for inference");
    const Value x = as_tensor(call, 0);
    if (rate < 0 || rate >= 1) call.refuse(fmt::format("its ratio is {}", rate));
    return rate == 0 ? x : like(x, unary("dropout", x.node, {{"rate", rate}}));
  }

  Value constant(Call& call) {
    const std::string output = call.node.output_size() > 0 ? call.node.output(0) : "";
    onnx::TensorProto tensor;
    if (const auto* value = call.find("value", onnx::AttributeProto::TENSOR)) {
      tensor = value->t();
    } else if (const auto* real = call.find("value_float", onnx::AttributeProto::FLOAT)) {
      tensor.set_data_type(onnx::TensorProto::FLOAT);
      tensor.add_float_data(real->f());
    } else if (const auto* reals = call.find("value_floats", onnx::AttributeProto::FLOATS)) {
      tensor.set_data_type(onnx::TensorProto::FLOAT);
      tensor.mutable_float_data()->CopyFrom(reals->floats());
      tensor.add_dims(reals->floats_size());
    } else if (const auto* integer = call.find("value_int", onnx::AttributeProto::INT)) {
      tensor.set_data_type(onnx::TensorProto::INT64);
      tensor.add_int64_data(integer->i());
    } else if (const auto* integers = call.find("value_ints", onnx::AttributeProto::INTS)) {
      tensor.set_data_type(onnx::TensorProto::INT64);
      tensor.mutable_int64_data()->CopyFrom(integers->ints());
      tensor.add_dims(integers->ints_size());
    } else {
      call.refuse("holds no tensor of numbers");
    }
    tensor.set_name(output);
    return known(tensor, false);
  }

  Value constant_of_shape(Call& call) {
    const Ints shape = call.known_integers(0, "shape");
    int64_t count = 1;
    for (const int64_t extent : shape) {
      if (extent < 0 || extent > kMostConstants || (count *= extent) > kMostConstants)
        call.refuse(fmt::format("makes a constant of {}, Kiln has up to {} elements", text(shape), kMostConstants));
    }
    onnx::TensorProto one;
    one.set_data_type(onnx::TensorProto::FLOAT);
    one.add_float_data(0);
    if (const auto* value = call.find("value", onnx::AttributeProto::TENSOR)) one = value->t();
    Value result = known(one, false);
    if (result.integers) {
      if (result.integers->size() != 1) call.refuse("its value is no single number");
      result.integers = Ints(static_cast<size_t>(count), result.integers->at(0));
    } else {
      if (result.numbers->values.size() != 1) call.refuse("its value is no single number");
      result.numbers = std::make_shared<Array>(
          Array{shape, std::vector<float>(static_cast<size_t>(count), result.numbers->values[0])});
    }
    result.shape = shape;
    return result;
  }

  Value cast(Call& call) {
    const int64_t to = call.integer("to", 0);
    call.integer("saturate", 1);
    const Value& x = call[0];
    const bool real = to == onnx::TensorProto::FLOAT || to == onnx::TensorProto::DOUBLE ||
                      to == onnx::TensorProto::FLOAT16 || to == onnx::TensorProto::BFLOAT16;
    const bool integer = to == onnx::TensorProto::INT64 || to == onnx::TensorProto::INT32;
    if (x.integers ? !integer : !real || x.positive) call.refuse("turns real numbers into others or back");
    return x;
  }

  // Windows.

  /// A one-dimensional image as one of a single row.
  Value image(Call& call, bool& flat) {
    const Value& x = call.tensor_input(0);
    flat = x.rank() == 3;
    if ((x.rank() != 4 && !flat) || !x.batched()) {
      call.refuse(fmt::format("its input is {}; Kiln has images of one or two dimensions, with a batch and channels",
                              text(x.shape)));
    }
    return flat ? with_shape(x, {kBatchExtent, x.shape[1], 1, x.shape[2]}) : x;
  }
  Value unflattened(const Value& y, bool flat) {
    return flat ? with_shape(y, {y.shape[0], y.shape[1], y.shape[3]}) : y;
  }

  std::vector<ImageWindow> windows(Call& call, const Value& x, Ints size, bool flat) {
    const size_t count = flat ? 1 : 2;
    const auto taken = [&](const char* name, size_t expected, int64_t otherwise, int64_t least) {
      const Ints values = call.integers(name).value_or(Ints(expected, otherwise));
      if (values.size() != expected)
        call.refuse(fmt::format("attribute {} has {} numbers, expected {}", name, values.size(), expected));
      for (const int64_t value : values) {
        if (value < least || value > kMost)
          call.refuse(fmt::format("attribute {} is {}, expected {} to {}", name, value, least, kMost));
      }
      return values;
    };
    Ints strides = taken("strides", count, 1, 1), dilations = taken("dilations", count, 1, 1),
         pads = taken("pads", 2 * count, 0, 0);
    const std::string automatic = call.text("auto_pad", "NOTSET");
    const bool ceil = call.integer("ceil_mode", 0) != 0;
    if (flat) {
      size.insert(size.begin(), 1);
      strides.insert(strides.begin(), 1);
      dilations.insert(dilations.begin(), 1);
      pads = {0, pads[0], 0, pads[1]};
    }
    std::vector<ImageWindow> result;
    for (size_t i = 0; i < 2; ++i) {
      ImageWindow w = {x.shape[i + 2], size[i], strides[i], dilations[i], pads[i], 0};
      int64_t after = pads[i + 2];
      if (w.size < 1 || w.size > kMost) call.refuse(fmt::format("has a window of {}", w.size));
      if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
        const int64_t output = (w.input + w.stride - 1) / w.stride;
        const int64_t total = std::max<int64_t>((output - 1) * w.stride + w.reach() - w.input, 0);
        w.before = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
        after = total - w.before;
      } else if (automatic == "VALID") {
        w.before = after = 0;
      } else if (automatic != "NOTSET") {
        call.refuse(fmt::format("attribute auto_pad is {}", printable(automatic)));
      }
      const int64_t room = w.input + w.before + after - w.reach();
      if (room < 0) call.refuse(fmt::format("a window of {} does not fit into {}", w.reach(), text(x.shape)));
      w.output = room / w.stride + 1;
      // One more that hangs over, if it begins inside.
      if (ceil && room % w.stride != 0 && w.output * w.stride < w.input + w.before) ++w.output;
      result.push_back(w);
    }
    return result;
  }

  static Ints encode(const std::vector<ImageWindow>& windows) {
    Ints values;
    for (const ImageWindow& w : windows)
      values.insert(values.end(), {w.input, w.size, w.stride, w.dilation, w.before, w.output});
    return values;
  }

  static double glorot(int64_t inputs, int64_t outputs) {
    return std::sqrt(6.0 / static_cast<double>(inputs + outputs));
  }

  Value conv(Call& call) {
    bool flat = false;
    const Value x = image(call, flat);
    Array kernel = call.numbers(1, "kernel");
    if (kernel.shape.size() != (flat ? 3 : 4)) call.refuse("its kernel has another rank than its input");
    if (flat) kernel.shape.insert(kernel.shape.begin() + 2, 1);
    const Ints size(kernel.shape.begin() + (flat ? 3 : 2), kernel.shape.end());
    if (call.integers("kernel_shape").value_or(size) != size) call.refuse("attribute kernel_shape is not its kernel's");
    const int64_t channels = x.shape[1], filters = kernel.shape[0], groups = call.integer("group", 1);
    if (groups < 1 || channels % groups != 0 || filters % groups != 0 || kernel.shape[1] != channels / groups) {
      call.refuse(fmt::format("{} groups, {} channels and a kernel of {} do not fit together", groups, channels,
                              text(kernel.shape)));
    }
    const std::vector<ImageWindow> w = windows(call, x, size, flat);
    const int64_t area = w[0].size * w[1].size;
    nlohmann::json attributes = {{"windows", encode(w)}};
    const char* op = "conv2d";
    double scale = glorot(area * channels / groups, area * filters);
    if (groups == channels && groups > 1) {
      op = "depthwise_conv2d";
      const int64_t multiplier = filters / channels;
      kernel.shape = {channels, multiplier, kernel.shape[2], kernel.shape[3]};
      scale = glorot(area * channels, area * multiplier);
    } else {
      attributes["groups"] = groups;
      kernel = transposed(kernel, {0, 2, 3, 1});
    }
    std::vector<NetworkBuilder::Weight> weights = {{"kernel", std::move(kernel), 1, scale}};
    if (call.optional(2)) {
      weights.push_back({"bias", vector_of(call, 2, "bias", filters)});
    } else if (std::optional<Array> bias = added_bias(call, filters, flat ? 1 : 2)) {
      weights.push_back({"bias", std::move(*bias)});
    }
    const Ints shape = {kBatchExtent, filters, w[0].output, w[1].output};
    const int node = build_.add_layer(op, in_order(x, kImage), std::move(weights), attributes, in_graph(shape, kImage));
    return unflattened({.shape = shape, .node = node, .order = kImage}, flat);
  }

  Array vector_of(Call& call, size_t i, const char* what, int64_t count) {
    Array array = call.numbers(i, what);
    if (static_cast<int64_t>(array.values.size()) != count)
      call.refuse(fmt::format("its {} has {} numbers, expected {}", what, array.values.size(), count));
    array.shape = {count};
    return array;
  }

  Value pool(Call& call, const std::string& op) {
    bool flat = false;
    const Value unpadded = image(call, flat);
    Value x = unpadded;
    const std::optional<Ints> size = call.integers("kernel_shape");
    if (!size || size->size() != (flat ? 1U : 2U)) call.refuse("has no kernel_shape of its input's dimensions");
    std::vector<ImageWindow> w = windows(call, x, *size, flat);
    for (ImageWindow& each : w) {
      if (each.dilation != 1)
        call.refuse(fmt::format("attribute dilations has {}, Kiln's pooling has 1", each.dilation));
      if (each.before >= each.size || (each.output - 1) * each.stride - each.before >= each.input)
        call.refuse("a window would hold nothing but padding");
    }
    Ints sides;
    for (const ImageWindow& each : w) sides.insert(sides.end(), {each.before, each.after()});
    const Ints pads = call.integers("pads").value_or(Ints{});
    const bool padded = call.text("auto_pad", "NOTSET") != "NOTSET" ||
                        std::any_of(pads.begin(), pads.end(), [](int64_t amount) { return amount != 0; });
    if (op == "average_pool" && call.integer("count_include_pad", 0) != 0 && padded && sides != Ints{0, 0, 0, 0}) {
      // Zeros that count are elements. What only hangs over the end does not count.
      if (call.integer("ceil_mode", 0) != 0) call.refuse("attributes ceil_mode and count_include_pad are both 1");
      for (size_t i = 0; i < 2; ++i) {
        w[i].input += w[i].before + w[i].after();
        w[i].before = 0;
        x.shape[i + 2] = w[i].input;
      }
      const int node =
          build_.add("zero_padding2d", {in_order(unpadded, kImage)}, {{"padding", sides}}, in_graph(x.shape, kImage));
      x = {.shape = x.shape, .node = node, .order = kImage};
    }
    const Ints shape = {kBatchExtent, x.shape[1], w[0].output, w[1].output};
    const int node = build_.add(op, {in_order(x, kImage)}, {{"windows", encode(w)}}, in_graph(shape, kImage));
    return unflattened({.shape = shape, .node = node, .order = kImage}, flat);
  }
  Value max_pool(Call& call) {
    call.require("storage_order", 0);
    return pool(call, "max_pool");
  }
  Value average_pool(Call& call) { return pool(call, "average_pool"); }

  Value global_pool(Call& call, const char* of_images, const char* of_others) {
    const Value& x = call.tensor_input(0);
    if (x.rank() < 3) call.refuse(fmt::format("its input is {}", text(x.shape)));
    Ints shape = x.shape;
    std::fill(shape.begin() + 2, shape.end(), 1);
    if (x.rank() == 4 && x.batched()) {
      const int node = build_.add(of_images, {in_order(x, kImage)}, nlohmann::json::object(), {kBatchExtent, shape[1]});
      return {.shape = shape, .node = reshaped(node, in_graph(shape, kImage)), .order = kImage};
    }
    Ints axes;
    for (size_t d = 2; d < x.rank(); ++d) axes.push_back(static_cast<int64_t>(x.order[d]));
    std::sort(axes.begin(), axes.end());
    return like(x, build_.add(of_others, {x.node}, {{"axes", axes}}, in_graph(shape, x.order)), shape);
  }
  Value global_average_pool(Call& call) { return global_pool(call, "global_average_pool", "reduce_mean"); }
  Value global_max_pool(Call& call) { return global_pool(call, "global_max_pool", "reduce_max"); }

  // Products.

  /// x of N x K times a constant of K x M, given as M x K.
  Value dense(Call& call, const Value& x, Array kernel, std::optional<Array> bias) {
    const int64_t units = kernel.shape[0], inputs = kernel.shape[1];
    if (x.shape.back() != inputs)
      call.refuse(fmt::format("{} times a matrix of {}x{} is not possible", text(x.shape), inputs, units));
    std::vector<NetworkBuilder::Weight> weights = {{"kernel", std::move(kernel), 1, glorot(inputs, units)}};
    if (bias) weights.push_back({"bias", std::move(*bias)});
    if (x.rank() == 2) {
      const Ints shape = {kBatchExtent, units};
      return tensor(build_.add_layer("dense", plain(x), std::move(weights), nlohmann::json::object(), shape), shape);
    }
    // Of more dimensions: a convolution of 1x1, whose positions they are.
    const int64_t positions = element_count(Ints(x.shape.begin() + 1, x.shape.end() - 1));
    weights[0].values.shape = {units, 1, 1, inputs};
    const int node =
        build_.add_layer("conv2d", reshaped(plain(x), {kBatchExtent, positions, 1, inputs}), std::move(weights),
                         {{"windows", Ints{positions, 1, 1, 1, 0, positions, 1, 1, 1, 1, 0, 1}}, {"groups", 1}},
                         {kBatchExtent, positions, 1, units});
    Ints shape = x.shape;
    shape.back() = units;
    return tensor(reshaped(node, shape), shape);
  }

  const Value& activation(Call& call) {
    const Value& x = call.tensor_input(0);
    if (!x.batched() || x.rank() < 2) call.refuse(fmt::format("its input is {}, without a batch", text(x.shape)));
    return x;
  }

  Value gemm(Call& call) {
    const Value& x = activation(call);
    call.require("transA", 0);
    Array kernel = call.numbers(1, "right side");
    if (x.rank() != 2 || kernel.shape.size() != 2) call.refuse("takes matrices");
    if (call.integer("transB", 0) == 0) kernel = transposed(kernel, {1, 0});
    const auto alpha = static_cast<float>(call.real("alpha", 1)), beta = static_cast<float>(call.real("beta", 1));
    for (float& value : kernel.values) value *= alpha;
    if (!call.optional(2)) return dense(call, x, std::move(kernel), std::nullopt);
    const Value& c = call[2];
    const bool is_bias = c.numbers && c.rank() <= 2 &&
                         c.numbers->values.size() == static_cast<size_t>(kernel.shape[0]) &&
                         (c.rank() == 0 || c.shape.back() == kernel.shape[0]);
    if (is_bias) {
      Array bias = vector_of(call, 2, "bias", kernel.shape[0]);
      for (float& value : bias.values) value *= beta;
      return dense(call, x, std::move(kernel), std::move(bias));
    }
    const Value result = dense(call, x, std::move(kernel), std::nullopt);
    return combine(call, "add", {result, beta == 1 ? c : combine(call, "multiply", {c, number(beta)})});
  }

  Value matrix_product(Call& call) {
    const Value& x = activation(call);
    const Array& right = call.numbers(1, "right side");
    if (right.shape.size() != 2) call.refuse("its right side is no matrix");
    Array kernel = transposed(right, {1, 0});
    std::optional<Array> bias = added_bias(call, kernel.shape[0], 0);
    return dense(call, x, std::move(kernel), std::move(bias));
  }

  /// The constant that an Add adds to each of `count` features of the node's result, where that is the result's only
  /// use; that Add then does nothing. `behind` dimensions lie behind the features.
  std::optional<Array> added_bias(Call& call, int64_t count, size_t behind) {
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

  Value add(Call& call) {
    const Value &a = call[0], &b = call[1];
    if (biased_.contains(call.node.input(0))) return a;  // what is added became the dense layer's bias
    if (biased_.contains(call.node.input(1))) return b;
    return binary<kAdd>(call);
  }

  Value batch_norm(Call& call) {
    const Value& x = activation(call);
    call.require("training_mode", 0);
    call.require("spatial", 1);
    const double epsilon = call.real("epsilon", 1e-5), momentum = call.real("momentum", 0.9);
    if (!(epsilon > 0)) call.refuse(fmt::format("attribute epsilon is {}", epsilon));
    const int64_t count = x.shape[1];
    std::vector<NetworkBuilder::Weight> weights = {
        {"gamma", vector_of(call, 1, "scale", count), 0, 1},
        {"beta", vector_of(call, 2, "bias", count), 0, 0},
        {"moving_mean", vector_of(call, 3, "mean", count), 0, 0, false},
        {"moving_variance", vector_of(call, 4, "variance", count), 0, 1, false}};
    const Ints shape = build_.shape(x.node);
    return like(x, build_.add_layer("batch_norm", x.node, std::move(weights),
                                    {{"axis", x.order[1]}, {"momentum", momentum}, {"epsilon", epsilon}}, shape));
  }

  Value soft_max(Call& call, const char* op) {
    const Value x = as_tensor(call, 0);
    if (x.rank() == 0) call.refuse("takes a dimension");
    const size_t axis = call.axis(call.integer("axis", operator_set_ < 13 ? 1 : -1), x.rank());
    if (operator_set_ < 13 && axis + 1 < x.rank()) {  // then: over all dimensions from the axis on
      Ints rest(x.shape.begin(), x.shape.begin() + static_cast<int64_t>(axis));
      rest.push_back(element_count(Ints(x.shape.begin() + static_cast<int64_t>(axis), x.shape.end())));
      if (axis == 0 && x.batched()) call.refuse("its axis is the batch");
      const int node = unary(op, reshaped(plain(x), rest));
      return tensor(reshaped(node, x.shape), x.shape);
    }
    if (axis == 0 && x.batched()) call.refuse("its axis is the batch");
    // Kiln's is along the last dimension.
    Order order = x.order;
    if (order[axis] + 1 != x.rank()) {
      order = identity_order(x.rank());
      for (size_t d = axis + 1; d < x.rank(); ++d) order[d] = d - 1;
      order[axis] = x.rank() - 1;
    }
    return {.shape = x.shape, .node = unary(op, in_order(x, order)), .order = order};
  }
  Value softmax(Call& call) { return soft_max(call, "softmax"); }
  Value log_softmax(Call& call) { return soft_max(call, "log_softmax"); }

  // Shapes.

  /// Axes given by an attribute or, in later versions, an input.
  std::optional<Ints> axes(Call& call, size_t i) {
    if (std::optional<Ints> attribute = call.integers("axes")) return attribute;
    if (!call.optional(i)) return std::nullopt;
    return call.known_integers(i, "axes");
  }

  template <const char* op>
  Value reduce(Call& call) {
    const Value x = as_tensor(call, 0);
    const bool keep = call.integer("keepdims", 1) != 0, nothing = call.integer("noop_with_empty_axes", 0) != 0;
    Ints given = axes(call, 1).value_or(Ints{});
    if (given.empty()) {
      if (nothing || x.rank() == 0) return x;
      given.resize(x.rank());
      std::iota(given.begin(), given.end(), int64_t{0});
    }
    std::set<size_t> reduced;
    for (const int64_t axis : given) reduced.insert(call.axis(axis, x.rank()));
    if (x.batched() && reduced.contains(0))
      call.refuse("it is over the batch, whose rows prediction takes each for itself");
    Ints shape = x.shape, kept, node_axes;
    for (size_t d = 0; d < x.rank(); ++d) {
      if (!reduced.contains(d)) {
        kept.push_back(x.shape[d]);
        continue;
      }
      shape[d] = 1;
      node_axes.push_back(static_cast<int64_t>(x.order[d]));
    }
    std::sort(node_axes.begin(), node_axes.end());
    const std::string name = op;
    if (x.rank() == 4 && x.batched() && node_axes == Ints{1, 2} && (name == "reduce_mean" || name == "reduce_max")) {
      const int pooled = build_.add(name == "reduce_mean" ? "global_average_pool" : "global_max_pool", {x.node},
                                    nlohmann::json::object(), {kBatchExtent, build_.shape(x.node)[3]});
      const Value result = like(x, reshaped(pooled, in_graph(shape, x.order)), shape);
      return keep ? result : with_shape(result, kept);
    }
    int node = name == "reduce_min" ? unary("negate", x.node) : x.node;
    node =
        build_.add(name == "reduce_min" ? "reduce_max" : name, {node}, {{"axes", node_axes}}, in_graph(shape, x.order));
    if (name == "reduce_min") node = unary("negate", node);
    const Value result = like(x, node, shape);
    return keep ? result : with_shape(result, kept);
  }

  Value concatenate(Call& call) {
    if (call.inputs.empty()) call.refuse("has no inputs");
    const Value& first = call[0];
    const size_t axis = call.axis(call.integer("axis", INT64_MAX), first.rank());
    if (first.integers) {
      if (first.rank() != 1) call.refuse("Kiln has it for shapes only");
      Ints all;
      for (size_t i = 0; i < call.inputs.size(); ++i) {
        const Ints& part = call.known_integers(i, "input");
        all.insert(all.end(), part.begin(), part.end());
      }
      return integers_of(all);
    }
    const Value x = as_tensor(call, 0);
    if (axis == 0 && x.batched()) call.refuse("its axis is the batch");
    Ints shape = x.shape;
    std::vector<int> inputs = {x.node};
    for (size_t i = 1; i < call.inputs.size(); ++i) {
      const Value other = as_tensor(call, i);
      Ints expected = x.shape;
      if (other.rank() == x.rank()) expected[axis] = other.shape[axis];
      if (other.shape != expected)
        call.refuse(fmt::format("the shapes {} and {} do not fit together", text(x.shape), text(other.shape)));
      shape[axis] += other.shape[axis];
      inputs.push_back(in_order(other, x.order));
    }
    return like(x, build_.add("concatenate", inputs, {{"axis", x.order[axis]}}, in_graph(shape, x.order)), shape);
  }

  /// The shape that Reshape's numbers mean for x.
  Ints resolved(Call& call, const Ints& from, Ints target, bool zero_is_zero) {
    const int64_t all = element_count(from) * (!from.empty() && from[0] == kBatchExtent ? -1 : 1);
    const bool batched = !from.empty() && from[0] == kBatchExtent;
    const auto impossible = [&]() {
      call.refuse(fmt::format("{} cannot become {}", text(from), fmt::join(target, "x")));
    };
    std::optional<size_t> open;
    int64_t others = 1;
    Ints shape;
    for (size_t d = 0; d < target.size(); ++d) {
      int64_t extent = target[d];
      if (extent == 0 && !zero_is_zero) {
        if (d >= from.size()) impossible();
        extent = from[d] == kBatchExtent ? kBatchSymbol : from[d];
      }
      const bool is_batch = batched && d == 0 && (extent == kBatchSymbol || (batch_ && extent == *batch_));
      if (is_batch) {
        shape.push_back(kBatchExtent);
      } else if (extent == -1) {
        if (open) impossible();
        open = d;
        shape.push_back(-1);
      } else {
        if (extent < 1 || extent > all / others) impossible();
        others *= extent;
        shape.push_back(extent);
      }
    }
    if (batched && open == size_t{0} && others == all) {  // -1 is the batch
      open.reset();
      shape[0] = kBatchExtent;
    }
    if (open) {
      if (all % others != 0) impossible();
      shape[*open] = all / others;
      others = all;
    }
    if (others != all || batched != (!shape.empty() && shape[0] == kBatchExtent)) impossible();
    return shape;
  }

  Value expand(Call& call) {
    const Value x = as_tensor(call, 0);
    Ints target = call.known_integers(1, "shape");
    if (x.batched() && target.size() == x.rank() && (target[0] == kBatchSymbol || (batch_ && target[0] == *batch_)))
      target[0] = 1;
    for (const int64_t extent : target) {
      if (extent < 1) call.refuse(fmt::format("{} cannot become {}", text(x.shape), fmt::join(target, "x")));
    }
    const Ints shape = broadcast(call, x.shape, target);
    if (shape == x.shape) return x;
    if (x.batched() && shape.size() != x.rank()) call.refuse("the batch must stay the first dimension");
    Ints full = x.shape;
    full.insert(full.begin(), shape.size() - full.size(), 1);
    return tensor(build_.add("broadcast_to", {reshaped(plain(x), full)}, {{"shape", shape}}, shape), shape);
  }

  Value reshape(Call& call) {
    const Value& x = call[0];
    const Ints target = call.known_integers(1, "shape");
    const bool zero_is_zero = call.integer("allowzero", 0) != 0;
    return with_shape(x, resolved(call, x.shape, target, zero_is_zero));
  }

  Value flatten(Call& call) {
    const Value& x = call[0];
    const int64_t given = call.integer("axis", 1);
    const size_t axis = given == static_cast<int64_t>(x.rank()) ? x.rank() : call.axis(given, x.rank());
    const auto middle = x.shape.begin() + static_cast<int64_t>(axis);
    Ints left(x.shape.begin(), middle);
    const bool batched = x.batched();
    if (batched && (axis == 0 || element_count(left) != kBatchExtent))
      call.refuse("it would move elements between rows of the batch");
    return with_shape(x, {batched ? kBatchExtent : element_count(left), element_count(Ints(middle, x.shape.end()))});
  }

  Value squeeze(Call& call) {
    const Value& x = call[0];
    const std::optional<Ints> given = axes(call, 1);
    std::set<size_t> removed;
    for (size_t d = 0; d < x.rank() && (!given || given->empty()); ++d) {
      if (x.shape[d] == 1) removed.insert(d);
    }
    for (const int64_t axis : given.value_or(Ints{})) removed.insert(call.axis(axis, x.rank()));
    Ints shape;
    for (size_t d = 0; d < x.rank(); ++d) {
      if (!removed.contains(d)) {
        shape.push_back(x.shape[d]);
      } else if (x.shape[d] != 1) {
        call.refuse(fmt::format("dimension {} of {} is not 1", d, text(x.shape)));
      }
    }
    return with_shape(x, shape);
  }

  Value unsqueeze(Call& call) {
    const Value& x = call[0];
    const std::optional<Ints> given = axes(call, 1);
    if (!given) call.refuse("has no axes");
    if (given->size() > 16) call.refuse(fmt::format("has {} axes", given->size()));
    std::set<size_t> added;
    for (const int64_t axis : *given) added.insert(call.axis(axis, x.rank() + given->size()));
    if (added.size() != given->size()) call.refuse("names an axis twice");
    if (x.batched() && added.contains(0)) call.refuse("the batch must stay the first dimension");
    Ints shape;
    size_t from = 0;
    for (size_t d = 0; d < x.rank() + added.size(); ++d) shape.push_back(added.contains(d) ? 1 : x.shape[from++]);
    return with_shape(x, shape);
  }

  Value transpose(Call& call) {
    const Value& x = call[0];
    Ints reversed(x.rank());
    for (size_t d = 0; d < x.rank(); ++d) reversed[d] = static_cast<int64_t>(x.rank() - 1 - d);
    const Ints permutation = call.integers("perm").value_or(reversed);
    std::set<int64_t> all(permutation.begin(), permutation.end());
    if (permutation.size() != x.rank() || all.size() != x.rank() ||
        (x.rank() > 0 && (*all.begin() != 0 || *all.rbegin() + 1 != static_cast<int64_t>(x.rank()))))
      call.refuse("attribute perm is no order of its dimensions");
    Order order;
    for (const int64_t axis : permutation) order.push_back(static_cast<size_t>(axis));
    if (x.numbers) return constant_of(transposed(*x.numbers, order), x);
    if (x.integers) {
      Ints begin(x.rank(), 0), steps(x.rank(), 1), shape;
      for (const size_t d : order) shape.push_back(x.shape[d]);
      return picked(x, begin, steps, shape, order);
    }
    if (!x.is_tensor() || x.positive) call.refuse("takes real numbers");
    if (x.batched() && order[0] != 0) call.refuse("the batch must stay the first dimension");
    Value result = x;
    for (size_t d = 0; d < x.rank(); ++d) {
      result.shape[d] = x.shape[order[d]];
      result.order[d] = x.order[order[d]];
    }
    return result;
  }

  Value pad(Call& call) {
    if (call.text("mode", "constant") != "constant")
      call.refuse("attribute mode is not constant, which Kiln has alone");
    const Ints amounts =
        call.operator_set < 11 ? call.integers("pads").value_or(Ints{}) : call.known_integers(1, "pads");
    double value = call.real("value", 0);
    if (call.operator_set >= 11 && call.optional(2)) {
      if (call.numbers(2, "value").values.size() != 1) call.refuse("its value is no single number");
      value = as_written(call.numbers(2, "value").values[0]);
    }
    if (value != 0) {  // Kiln pads with zeros: pad(x - value) + value
      const Value shifted = combine(call, "subtract", {call[0], number(value)});
      return combine(call, "add", {padded(call, shifted, amounts), number(value)});
    }
    return padded(call, as_tensor(call, 0), amounts);
  }

  Value padded(Call& call, const Value& x, const Ints& amounts) {
    Ints where(x.rank());
    std::iota(where.begin(), where.end(), int64_t{0});
    if (call.optional(3)) where = call.known_integers(3, "axes");
    if (amounts.size() != 2 * where.size())
      call.refuse(fmt::format("has {} amounts for {} dimensions", amounts.size(), where.size()));
    Ints before(x.rank(), 0), after(x.rank(), 0), shape = x.shape;
    std::set<size_t> seen;
    for (size_t i = 0; i < where.size(); ++i) {
      const size_t d = call.axis(where[i], x.rank());
      if (!seen.insert(d).second) call.refuse("names an axis twice");
      const int64_t first = amounts[i], last = amounts[i + where.size()];
      if (first < 0 || last < 0 || first > kMost || last > kMost)
        call.refuse(fmt::format("pads with {} and {}", first, last));
      if (x.shape[d] == kBatchExtent && first + last > 0) call.refuse("the batch cannot be padded");
      before[x.order[d]] = first;
      after[x.order[d]] = last;
      if (first + last > 0) shape[d] += first + last;
    }
    const Ints result = in_graph(shape, x.order);
    if (shape == x.shape) return x;
    if (x.rank() == 4 && x.batched() && before[3] + after[3] == 0) {
      const Ints sides = {before[1], after[1], before[2], after[2]};
      return like(x, build_.add("zero_padding2d", {x.node}, {{"padding", sides}}, result), shape);
    }
    return like(x, build_.add("pad", {x.node}, {{"before", before}, {"after", after}}, result), shape);
  }

  Value part(const Value& x, const Ints& begin, const Ints& shape) {
    if (shape == x.shape) return x;
    Ints node_begin = in_graph(begin, x.order), size = in_graph(shape, x.order);
    if (x.batched()) size[0] = -1;
    return like(x, build_.add("slice", {x.node}, {{"begin", node_begin}, {"size", size}}, in_graph(shape, x.order)),
                shape);
  }

  /// Some of known integers: result dimension d goes through dimension order[d] from `begin` on.
  static Value picked(const Value& x, const Ints& begin, const Ints& steps, const Ints& shape, const Order& order) {
    Ints strides(x.rank(), 1), values, index(shape.size(), 0);
    for (size_t d = x.rank(); d-- > 1;) strides[d - 1] = strides[d] * x.shape[d];
    for (int64_t n = element_count(shape); n > 0; --n) {
      int64_t from = 0;
      for (size_t d = 0; d < shape.size(); ++d)
        from += (begin[order[d]] + index[d] * steps[order[d]]) * strides[order[d]];
      values.push_back(x.integers->at(static_cast<size_t>(from)));
      for (size_t d = shape.size(); d-- > 0;) {
        if (++index[d] < shape[d]) break;
        index[d] = 0;
      }
    }
    Value result = integers_of(std::move(values));
    result.shape = shape;
    return result;
  }

  Value slice(Call& call) {
    const Value& x = call[0];
    const bool by_attributes = call.operator_set < 10;
    const auto list = [&](size_t i, const char* name) -> std::optional<Ints> {
      if (by_attributes) return call.integers(name);
      if (!call.optional(i)) return std::nullopt;
      return call.known_integers(i, name);
    };
    const Ints starts = list(1, "starts").value_or(Ints{}), ends = list(2, "ends").value_or(Ints{});
    Ints where(starts.size());
    std::iota(where.begin(), where.end(), int64_t{0});
    where = list(3, "axes").value_or(where);
    const Ints steps = by_attributes ? Ints(starts.size(), 1) : list(4, "steps").value_or(Ints(starts.size(), 1));
    if (ends.size() != starts.size() || where.size() != starts.size() || steps.size() != starts.size())
      call.refuse("its starts, ends, axes and steps differ in number");
    const Value source = x.integers ? x : as_tensor(call, 0);
    Ints begin(source.rank(), 0), shape = source.shape;
    Ints strides(source.rank(), 1);
    for (size_t i = 0; i < starts.size(); ++i) {
      const size_t d = call.axis(where[i], source.rank());
      const int64_t extent = source.shape[d];
      if (x.integers && steps[i] == -1 && starts[i] == -1 && ends[i] < -extent) {  // PyTorch turns its pads around
        begin[d] = extent - 1;
        strides[d] = -1;
        continue;
      }
      if (steps[i] != 1) call.refuse(fmt::format("has a step of {}, Kiln has 1", steps[i]));
      if (extent == kBatchExtent) {
        if (starts[i] != 0 || ends[i] < INT32_MAX) call.refuse("the batch cannot be cut");
        continue;
      }
      const auto inside = [&](int64_t at) {
        return std::clamp<int64_t>(at < 0 ? std::max<int64_t>(at, -extent) + extent : at, 0, extent);
      };
      begin[d] = inside(starts[i]);
      shape[d] = inside(ends[i]) - begin[d];
      if (shape[d] < 1) call.refuse("nothing would be left");
    }
    if (x.integers) return picked(x, begin, strides, shape, identity_order(x.rank()));
    return part(source, begin, shape);
  }

  void split(Call& call) {
    const Value x = as_tensor(call, 0);
    const size_t axis = call.axis(call.integer("axis", 0), x.rank());
    if (axis == 0 && x.batched()) call.refuse("its axis is the batch");
    const int64_t extent = x.shape[axis], count = call.node.output_size();
    std::optional<Ints> sizes = call.operator_set < 13 ? call.integers("split")
                                : call.optional(1)     ? std::optional(call.known_integers(1, "split"))
                                                       : std::nullopt;
    const int64_t parts = call.integer("num_outputs", count);
    if (!sizes) {
      if (parts != count || count < 1 || count > extent)
        call.refuse(fmt::format("{} parts of {} elements", count, extent));
      const int64_t each = (extent + count - 1) / count;
      sizes = Ints(static_cast<size_t>(count), each);
      sizes->back() = extent - each * (count - 1);
    }
    if (static_cast<int64_t>(sizes->size()) != count)
      call.refuse(fmt::format("has {} sizes for {} outputs", sizes->size(), count));
    call.require_all_read();
    Ints begin(x.rank(), 0), shape = x.shape;
    for (int i = 0; i < count; ++i) {
      shape[axis] = (*sizes)[static_cast<size_t>(i)];
      if (shape[axis] < 1 || shape[axis] > extent - begin[axis]) call.refuse("its parts do not make up the whole");
      define(call.node.output(i), part(x, begin, shape));
      begin[axis] += shape[axis];
    }
    if (begin[axis] != extent) call.refuse("its parts do not make up the whole");
  }

  Value shape(Call& call) {
    const Value& x = call[0];
    const auto rank = static_cast<int64_t>(x.rank());
    const auto inside = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
    const int64_t start = inside(std::clamp<int64_t>(call.integer("start", 0), -rank, rank)),
                  end = inside(std::clamp<int64_t>(call.integer("end", rank), -rank, rank));
    Ints extents;
    for (int64_t d = start; d < end; ++d) {
      const int64_t extent = x.shape[static_cast<size_t>(d)];
      extents.push_back(extent == kBatchExtent ? kBatchSymbol : extent);
    }
    return integers_of(extents);
  }

  Value gather(Call& call) {
    const Ints& from = call.known_integers(0, "input");
    const Value& index = call[1];
    if (call[0].rank() != 1 || !index.integers || index.rank() > 1) call.refuse("Kiln has it for shapes only");
    call.axis(call.integer("axis", 0), 1);
    Ints result;
    for (const int64_t at : *index.integers) result.push_back(from[call.axis(at, from.size())]);
    Value value = integers_of(result);
    value.shape = index.shape;
    return value;
  }

  const onnx::ModelProto& model_;
  const std::string& origin_;
  NetworkBuilder build_;
  int64_t operator_set_ = 0;
  std::optional<int64_t> batch_;  // where the inputs have a number in its place
  std::map<std::string, Value> values_;
  std::map<std::string, std::vector<const onnx::NodeProto*>> users_;  // null: the graph's outputs
  std::set<std::string> biased_;
};

const std::map<std::string, Importer::Handler>& Importer::handlers() {
  static const std::map<std::string, Handler> all = {
      {"Abs", &Importer::element_wise<kAbs>},
      {"Add", &Importer::add},
      {"AveragePool", &Importer::average_pool},
      {"BatchNormalization", &Importer::batch_norm},
      {"Cast", &Importer::cast},
      {"Clip", &Importer::clip},
      {"Concat", &Importer::concatenate},
      {"Constant", &Importer::constant},
      {"ConstantOfShape", &Importer::constant_of_shape},
      {"Conv", &Importer::conv},
      {"Div", &Importer::binary<kDivide>},
      {"Dropout", &Importer::dropout},
      {"Elu", &Importer::elu},
      {"Erf", &Importer::element_wise<kErf>},
      {"Exp", &Importer::element_wise<kExp>},
      {"Expand", &Importer::expand},
      {"Flatten", &Importer::flatten},
      {"Gather", &Importer::gather},
      {"Gelu", &Importer::gelu},
      {"Gemm", &Importer::gemm},
      {"GlobalAveragePool", &Importer::global_average_pool},
      {"GlobalMaxPool", &Importer::global_max_pool},
      {"Greater", &Importer::greater},
      {"HardSigmoid", &Importer::hard_sigmoid},
      {"HardSwish", &Importer::hard_swish},
      {"Identity", &Importer::identity},
      {"LeakyRelu", &Importer::leaky_relu},
      {"Log", &Importer::element_wise<kLog>},
      {"LogSoftmax", &Importer::log_softmax},
      {"MatMul", &Importer::matrix_product},
      {"Max", &Importer::many<kMaximum>},
      {"MaxPool", &Importer::max_pool},
      {"Mean", &Importer::mean},
      {"Min", &Importer::many<kMinimum>},
      {"Mish", &Importer::mish},
      {"Mul", &Importer::binary<kMultiply>},
      {"Neg", &Importer::negate},
      {"PRelu", &Importer::prelu},
      {"Pad", &Importer::pad},
      {"Pow", &Importer::power},
      {"Reciprocal", &Importer::reciprocal},
      {"ReduceMax", &Importer::reduce<kReduceMax>},
      {"ReduceMean", &Importer::reduce<kReduceMean>},
      {"ReduceMin", &Importer::reduce<kReduceMin>},
      {"ReduceSum", &Importer::reduce<kReduceSum>},
      {"Relu", &Importer::element_wise<kRelu>},
      {"Reshape", &Importer::reshape},
      {"Selu", &Importer::selu},
      {"Shape", &Importer::shape},
      {"Sigmoid", &Importer::element_wise<kSigmoid>},
      {"Slice", &Importer::slice},
      {"Softmax", &Importer::softmax},
      {"Softplus", &Importer::element_wise<kSoftplus>},
      {"Softsign", &Importer::softsign},
      {"Sqrt", &Importer::element_wise<kSqrt>},
      {"Squeeze", &Importer::squeeze},
      {"Sub", &Importer::binary<kSubtract>},
      {"Sum", &Importer::many<kAdd>},
      {"Tanh", &Importer::element_wise<kTanh>},
      {"Transpose", &Importer::transpose},
      {"Unsqueeze", &Importer::unsqueeze},
      {"Where", &Importer::where},
  };
  return all;
}

}  // namespace

Network read_onnx(const std::string& bytes, const std::string& origin, const std::string& name) {
  try {
    return Importer(parse_onnx(bytes, origin), origin, name).read();
  } catch (const DataError& error) {
    if (std::string(error.what()).starts_with(origin)) throw;
    throw DataError(fmt::format("{}: {}", origin, error.what()));
  }
}

std::vector<std::string> onnx_operators() {
  std::vector<std::string> names = {"Split"};
  for (const auto& [name, handler] : Importer::handlers()) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace kiln
