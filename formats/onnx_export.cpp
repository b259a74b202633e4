#include "onnx_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "error.h"
#include "onnx_file.h"
#include "parameters.h"
#include "structure.h"

namespace kiln {
namespace {

using nlohmann::json;

// Gelu is an operator since 20; ONNX Runtime has that since 1.17.
constexpr int64_t kOperatorSet = 20;
constexpr int64_t kFormatVersion = 9;

const std::vector<size_t> kToChannelsFirst = {0, 3, 1, 2}, kToChannelsLast = {0, 2, 3, 1};

/// ONNX's names of the operators that work element by element.
const std::map<std::string, const char*> kUnary = {
    {"relu", "Relu"},       {"leaky_relu", "LeakyRelu"},
    {"elu", "Elu"},         {"selu", "Selu"},
    {"gelu", "Gelu"},       {"sigmoid", "Sigmoid"},
    {"tanh", "Tanh"},       {"exp", "Exp"},
    {"log", "Log"},         {"softplus", "Softplus"},
    {"sqrt", "Sqrt"},       {"abs", "Abs"},
    {"erf", "Erf"},         {"clip", "Clip"},
    {"negate", "Neg"},      {"square", "Mul"},
    {"dropout", "Dropout"},
};
const std::map<std::string, const char*> kBinary = {{"add", "Add"},    {"subtract", "Sub"}, {"multiply", "Mul"},
                                                    {"divide", "Div"}, {"maximum", "Max"},  {"minimum", "Min"}};
const std::map<std::string, const char*> kReductions = {
    {"reduce_sum", "ReduceSum"}, {"reduce_mean", "ReduceMean"}, {"reduce_max", "ReduceMax"}};

void set_shape(onnx::TensorShapeProto& shape, const std::vector<int64_t>& extents) {
  for (const int64_t extent : extents) {
    onnx::TensorShapeProto_Dimension& dimension = *shape.add_dim();
    if (extent == kBatchExtent) {
      dimension.set_dim_param("N");
    } else {
      dimension.set_dim_value(extent);
    }
  }
}

class Exporter {
 public:
  Exporter(const KilnFile& file, const std::string& origin)
      : file_(file),
        origin_(origin),
        structure_(description_in(file, origin)),
        parameters_(parameters_by_name(file, origin)) {}

  std::string write() {
    model_.set_ir_version(kFormatVersion);
    model_.set_producer_name("Kiln");
    model_.set_producer_version(KILN_VERSION);
    model_.add_opset_import()->set_version(kOperatorSet);
    const json& description = structure_.description();
    graph().set_name(description.at("name").get<std::string>());
    for (const json& output : description.at("outputs")) {
      names_.insert(output.at("name").get<std::string>());
      output_names_.emplace(output.at("node").get<int>(), output.at("name").get<std::string>());
    }
    for (const json& output : description.at("outputs")) {
      const int id = output.at("node").get<int>();
      const std::string name = output.at("name").get<std::string>(), value = in_layout(id, false);
      if (value != name) add_node("Identity", name, {value}, name);  // an input, or an output of two names
      describe(*graph().add_output(), name, structure_.node(id));
    }
    return onnx_bytes(model_);
  }

 private:
  /// A node's result as ONNX has it; images are made with channels first by the operators that want them so.
  struct Value {
    std::string name;
    bool channels_first = false;
  };

  onnx::GraphProto& graph() { return *model_.mutable_graph(); }

  std::string fresh(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !names_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
    return name;
  }

  static void describe(onnx::ValueInfoProto& value, const std::string& name, const json& node) {
    value.set_name(name);
    onnx::TypeProto_Tensor& type = *value.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    set_shape(*type.mutable_shape(), shape_of(node));
  }

  onnx::NodeProto& add_node(const char* op, const std::string& name, const std::vector<std::string>& inputs,
                            const std::string& output) {
    onnx::NodeProto& node = *graph().add_node();
    node.set_op_type(op);
    node.set_name(name);
    for (const std::string& input : inputs) node.add_input(input);
    node.add_output(output);
    return node;
  }

  /// A node that is part of what an operator of the graph becomes, and the name of its result.
  onnx::NodeProto& add_part(const json& node, const char* op, const std::vector<std::string>& inputs,
                            std::string& result) {
    result = fresh(fmt::format("{}/{}", node.at("layer").get<std::string>(), op));
    return add_node(op, result, inputs, result);
  }

  /// The node that makes the result of an operator of the graph.
  onnx::NodeProto& add_result(const json& node, const char* op, const std::vector<std::string>& inputs,
                              bool channels_first = false) {
    const int id = node.at("id").get<int>();
    const std::string name = fresh(node.at("layer").get<std::string>());
    const auto output = output_names_.find(id);
    values_[id] = {output != output_names_.end() && !channels_first ? output->second : name, channels_first};
    return add_node(op, name, inputs, values_[id].name);
  }

  static void set(onnx::NodeProto& node, const char* name, int64_t value) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(value);
  }
  static void set(onnx::NodeProto& node, const char* name, double value) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::FLOAT);
    attribute.set_f(static_cast<float>(value));
  }
  static void set(onnx::NodeProto& node, const char* name, const char* value) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::STRING);
    attribute.set_s(value);
  }
  template <class T>
  static void set(onnx::NodeProto& node, const char* name, const std::vector<T>& values) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INTS);
    for (const T value : values) attribute.add_ints(static_cast<int64_t>(value));
  }

  std::string add_tensor(const std::string& name, const Array& array) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(fresh(name));
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const int64_t extent : array.shape) tensor.add_dims(extent);
    tensor.set_raw_data(array.values.data(), array.values.size() * sizeof(float));
    return tensor.name();
  }

  std::string add_integers(const json& node, const char* what, const std::vector<int64_t>& values) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(fresh(fmt::format("{}/{}", node.at("layer").get<std::string>(), what)));
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<int64_t>(values.size()));
    tensor.set_raw_data(values.data(), values.size() * sizeof(int64_t));
    return tensor.name();
  }

  Array parameter(const json& node) const {
    const auto name = attribute_of<std::string>(node, "name");
    const Parameter& p = find_parameter(parameters_, name, origin_);
    if (p.shape != shape_of(node))
      throw DataError(fmt::format("{}: parameter '{}' has another shape than its graph says", origin_, name));
    return {p.shape, read_parameter(file_, p)};
  }

  /// A layer's weight, with its dimensions in ONNX's order. Layers own theirs.
  std::string weight(const json& user, size_t i, const std::vector<size_t>& order) {
    const json& node = structure_.input(user, i);
    if (op_of(node) != "parameter") refuse_node(user, "its weights are computed, and ONNX export takes trained ones");
    return add_tensor(attribute_of<std::string>(node, "name"), transposed(parameter(node), order));
  }

  /// The value of a node in one of the two layouts, with a Transpose where it is made in the other.
  std::string in_layout(int id, bool channels_first) {
    const Value& value = value_of(id);
    if (value.channels_first == channels_first) return value.name;
    std::string& other = transposed_[id];
    if (!other.empty()) return other;
    const auto output = output_names_.find(id);
    other = output != output_names_.end() && !channels_first ? output->second : fresh(value.name + "/Transpose");
    set(add_node("Transpose", fresh(other), {value.name}, other), "perm",
        channels_first ? kToChannelsFirst : kToChannelsLast);
    return other;
  }

  std::string input(const json& node, size_t i, bool channels_first = false) {
    return in_layout(input_of(node, i), channels_first);
  }

  const Value& value_of(int id) {
    const auto done = values_.find(id);
    if (done != values_.end()) return done->second;
    make(structure_.node(id));
    return values_.at(id);
  }

  /// Whether the node's value is an image: what may have its channels first.
  bool is_image(int id) const {
    const std::vector<int64_t> shape = shape_of(structure_.node(id));
    return shape.size() == 4 && shape[0] == kBatchExtent;
  }

  static void set_windows(onnx::NodeProto& node, const std::vector<ImageWindow>& w) {
    set(node, "kernel_shape", std::vector<int64_t>{w[0].size, w[1].size});
    set(node, "strides", std::vector<int64_t>{w[0].stride, w[1].stride});
    set(node, "pads", std::vector<int64_t>{w[0].before, w[1].before, w[0].after(), w[1].after()});
  }

  void convolution(const json& n) {
    const std::vector<ImageWindow> w = windows_of(n);
    const std::vector<int64_t> kernel = shape_of(structure_.input(n, 1));
    std::vector<std::string> inputs = {input(n, 0, true)};
    int64_t groups = 1;
    if (op_of(n) == "conv2d") {
      groups = attribute_of<int64_t>(n, "groups");
      inputs.push_back(weight(n, 1, kToChannelsFirst));
    } else {  // channels x multiplier x h x w; ONNX: (channels * multiplier) x 1 x h x w
      groups = kernel.at(0);
      const json& node = structure_.input(n, 1);
      Array array = parameter(node);
      array.shape = {kernel.at(0) * kernel.at(1), 1, kernel.at(2), kernel.at(3)};
      inputs.push_back(add_tensor(attribute_of<std::string>(node, "name"), array));
    }
    if (n.at("inputs").size() == 3) inputs.push_back(weight(n, 2, {0}));
    onnx::NodeProto& node = add_result(n, "Conv", inputs, true);
    set_windows(node, w);
    set(node, "dilations", std::vector<int64_t>{w[0].dilation, w[1].dilation});
    set(node, "group", groups);
  }

  void dense(const json& n) {
    std::vector<std::string> inputs = {input(n, 0), weight(n, 1, {0, 1})};
    if (n.at("inputs").size() == 3) inputs.push_back(weight(n, 2, {0}));
    set(add_result(n, "Gemm", inputs), "transB", int64_t{1});
  }

  /// ONNX normalises dimension 1: of an image with channels first or last, as the axis wants it.
  void batch_norm(const json& n) {
    const int64_t axis = attribute_of<int64_t>(n, "axis");
    const size_t rank = n.at("shape").size();
    const bool channels_first = rank == 4 && axis == 3, swapped = !channels_first && axis != 1;
    std::string x = input(n, 0, channels_first);
    std::vector<size_t> swap(rank);
    for (size_t d = 0; d < rank; ++d) swap[d] = d;
    if (swapped) {
      std::swap(swap.at(1), swap.at(static_cast<size_t>(axis)));
      std::string before;
      set(add_part(n, "Transpose", {x}, before), "perm", swap);
      x = before;
    }
    const std::vector<std::string> inputs = {x, weight(n, 1, {0}), weight(n, 2, {0}), weight(n, 3, {0}),
                                             weight(n, 4, {0})};
    std::string normalised;
    onnx::NodeProto& node = swapped ? add_part(n, "BatchNormalization", inputs, normalised)
                                    : add_result(n, "BatchNormalization", inputs, channels_first);
    set(node, "epsilon", attribute_of<double>(n, "epsilon"));
    set(node, "momentum", attribute_of<double>(n, "momentum"));
    if (swapped) set(add_result(n, "Transpose", {normalised}), "perm", swap);
  }

  void pool(const json& n) {
    const std::string name = op_of(n);
    const std::vector<ImageWindow> w = windows_of(n);
    std::string x = input(n, 0, true), pooled;
    if (name == "average_pool") return set_windows(add_result(n, "AveragePool", {x}, true), w);
    if (name == "max_pool") return set_windows(add_result(n, "MaxPool", {x}, true), w);
    std::string negated;  // ONNX has no smallest of a window: -max(-x)
    add_part(n, "Neg", {x}, negated);
    set_windows(add_part(n, "MaxPool", {negated}, pooled), w);
    add_result(n, "Neg", {pooled}, true);
  }

  void element_wise(const json& n, const char* onnx_op) {
    const std::string name = op_of(n);
    const bool channels_first = value_of(input_of(n, 0)).channels_first;
    std::vector<std::string> inputs = {input(n, 0, channels_first)};
    const auto scalar = [&](const char* what, double value) {
      inputs.push_back(
          add_tensor(fmt::format("{}/{}", n.at("layer").get<std::string>(), what), {{}, {static_cast<float>(value)}}));
    };
    if (name == "square") inputs.push_back(inputs[0]);
    if (name == "clip") scalar("min", attribute_of<double>(n, "min")), scalar("max", attribute_of<double>(n, "max"));
    if (name == "dropout") scalar("rate", attribute_of<double>(n, "rate"));
    onnx::NodeProto& node = add_result(n, onnx_op, inputs, channels_first);
    if (name == "leaky_relu") set(node, "alpha", attribute_of<double>(n, "negative_slope"));
    if (name == "elu") set(node, "alpha", attribute_of<double>(n, "alpha"));
    if (name == "gelu") set(node, "approximate", attribute_of<bool>(n, "approximate") ? "tanh" : "none");
  }

  /// Two or three operands with broadcasting: with channels first where every operand is an image or a number.
  void broadcasting(const json& n, const char* onnx_op) {
    bool channels_first = false, possible = true;
    for (const json& id : n.at("inputs")) {
      const int operand = id.get<int>();
      channels_first |= value_of(operand).channels_first;
      possible &= is_image(operand) || op_of(structure_.node(operand)) == "constant";
    }
    channels_first &= possible;
    std::vector<std::string> inputs;
    for (const json& id : n.at("inputs"))
      inputs.push_back(in_layout(id.get<int>(), channels_first && is_image(id.get<int>())));
    if (op_of(n) == "where_positive") {
      const std::string zero = add_tensor(n.at("layer").get<std::string>() + "/zero", {{}, {0}});
      std::string positive;
      add_part(n, "Greater", {inputs[0], zero}, positive);
      inputs[0] = positive;
    }
    add_result(n, onnx_op, inputs, channels_first);
  }

  void reduce(const json& n, const char* onnx_op) {
    const auto axes = attribute_of<std::vector<int64_t>>(n, "axes");
    if (shape_of(structure_.input(n, 0)).at(0) == kBatchExtent && std::count(axes.begin(), axes.end(), 0) > 0)
      refuse_node(n, "the rows of a batch are summed up, which ONNX export takes each for itself");
    set(add_result(n, onnx_op, {input(n, 0), add_integers(n, "axes", axes)}), "keepdims", int64_t{1});
  }

  /// Zeros around x, in Kiln's order of dimensions.
  void pad(const json& n, std::vector<int64_t> before, std::vector<int64_t> after) {
    const bool channels_first = value_of(input_of(n, 0)).channels_first;
    if (channels_first) {
      const std::vector<int64_t> first = before, last = after;
      for (size_t d = 0; d < 4; ++d) {
        before[d] = first.at(kToChannelsFirst[d]);
        after[d] = last.at(kToChannelsFirst[d]);
      }
    }
    before.insert(before.end(), after.begin(), after.end());
    add_result(n, "Pad", {input(n, 0, channels_first), add_integers(n, "pads", before)}, channels_first);
  }

  void slice(const json& n) {
    const auto begin = attribute_of<std::vector<int64_t>>(n, "begin");
    const std::vector<int64_t> from = shape_of(structure_.input(n, 0)), to = shape_of(n);
    std::vector<int64_t> starts, ends, axes;
    for (size_t d = 0; d < to.size(); ++d) {
      if (from.at(d) == to[d]) continue;
      starts.push_back(begin.at(d));
      ends.push_back(begin.at(d) + to[d]);
      axes.push_back(static_cast<int64_t>(d));
    }
    if (axes.empty()) return void(add_result(n, "Identity", {input(n, 0)}));
    add_result(
        n, "Slice",
        {input(n, 0), add_integers(n, "starts", starts), add_integers(n, "ends", ends), add_integers(n, "axes", axes)});
  }

  /// The shape as Reshape and Expand want it; `batch` stands for the batch.
  static std::vector<int64_t> target(const json& n, int64_t batch) {
    std::vector<int64_t> shape = shape_of(n);
    std::replace(shape.begin(), shape.end(), kBatchExtent, batch);
    return shape;
  }

  void make(const json& n) {
    const std::string name = op_of(n);
    const int id = n.at("id").get<int>();
    if (name == "input") {
      if (attribute_of<bool>(n, "integer")) refuse_node(n, "class labels cannot be an input of an ONNX model");
      values_[id] = {fresh(attribute_of<std::string>(n, "name"))};
      return describe(*graph().add_input(), values_[id].name, n);
    }
    if (name == "parameter")
      return void(values_[id] = {add_tensor(attribute_of<std::string>(n, "name"), parameter(n))});
    if (name == "constant") {
      const auto value = static_cast<float>(attribute_of<double>(n, "value"));
      return void(values_[id] = {add_tensor(n.at("layer").get<std::string>(), {{}, {value}})});
    }
    if (name == "conv2d" || name == "depthwise_conv2d") return convolution(n);
    if (name == "dense") return dense(n);
    if (name == "batch_norm") return batch_norm(n);
    if (name == "max_pool" || name == "average_pool" || name == "min_pool") return pool(n);
    if (name == "global_average_pool" || name == "global_max_pool") {
      std::string pooled;
      add_part(n, name == "global_max_pool" ? "GlobalMaxPool" : "GlobalAveragePool", {input(n, 0, true)}, pooled);
      return void(add_result(n, "Flatten", {pooled}));
    }
    if (const auto unary = kUnary.find(name); unary != kUnary.end()) return element_wise(n, unary->second);
    if (const auto binary = kBinary.find(name); binary != kBinary.end()) return broadcasting(n, binary->second);
    if (name == "where_positive") return broadcasting(n, "Where");
    if (const auto reduction = kReductions.find(name); reduction != kReductions.end())
      return reduce(n, reduction->second);
    if (name == "alpha_dropout" || name == "stop_gradient") {
      const bool channels_first = value_of(input_of(n, 0)).channels_first;
      return void(add_result(n, "Identity", {input(n, 0, channels_first)}, channels_first));
    }
    if (name == "softmax" || name == "log_softmax")
      return set(add_result(n, name == "softmax" ? "Softmax" : "LogSoftmax", {input(n, 0)}), "axis", int64_t{-1});
    if (name == "concatenate") {
      bool channels_first = true;
      for (const json& operand : n.at("inputs")) channels_first &= value_of(operand.get<int>()).channels_first;
      std::vector<std::string> inputs;
      for (const json& operand : n.at("inputs")) inputs.push_back(in_layout(operand.get<int>(), channels_first));
      int64_t axis = attribute_of<int64_t>(n, "axis");
      if (channels_first) axis = static_cast<int64_t>(kToChannelsLast.at(static_cast<size_t>(axis)));
      return set(add_result(n, "Concat", inputs, channels_first), "axis", axis);
    }
    if (name == "flatten") return set(add_result(n, "Flatten", {input(n, 0)}), "axis", int64_t{1});
    if (name == "reshape")
      return void(add_result(n, "Reshape", {input(n, 0), add_integers(n, "shape", target(n, -1))}));
    if (name == "broadcast_to") {
      const std::vector<int64_t> from = shape_of(structure_.input(n, 0)), to = shape_of(n);
      if (std::count(from.begin(), from.end(), kBatchExtent) != std::count(to.begin(), to.end(), kBatchExtent))
        refuse_node(n, "it makes the rows of a batch out of a value without one, which ONNX export cannot");
      return void(add_result(n, "Expand", {input(n, 0), add_integers(n, "shape", target(n, 1))}));
    }
    if (name == "transpose")
      return set(add_result(n, "Transpose", {input(n, 0)}), "perm", attribute_of<std::vector<int64_t>>(n, "axes"));
    if (name == "zero_padding2d") {
      const auto p = attribute_of<std::vector<int64_t>>(n, "padding");
      return pad(n, {0, p.at(0), p.at(2), 0}, {0, p.at(1), p.at(3), 0});
    }
    if (name == "pad")
      return pad(n, attribute_of<std::vector<int64_t>>(n, "before"), attribute_of<std::vector<int64_t>>(n, "after"));
    if (name == "slice") return slice(n);
    refuse_node(n, "ONNX export has no operator for this");
  }

  const KilnFile& file_;
  const std::string& origin_;
  const Structure structure_;
  const std::map<std::string, Parameter> parameters_;
  onnx::ModelProto model_;
  std::set<std::string> names_;
  std::map<int, std::string> output_names_, transposed_;
  std::map<int, Value> values_;
};

}  // namespace

std::string write_onnx(const KilnFile& file, const std::string& origin) {
  try {
    return Exporter(file, origin).write();
  } catch (const DataError& error) {
    if (std::string(error.what()).starts_with(origin)) throw;
    throw DataError(fmt::format("{}: {}", origin, error.what()));
  } catch (const json::exception& error) {
    throw DataError(
        fmt::format("{}: the description of its graph is not what it should be ({})", origin, error.what()));
  } catch (const std::out_of_range&) {
    throw DataError(origin + ": the description of its graph is not what it should be");
  }
}

}  // namespace kiln
