#include "graph_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <map>
#include <set>

#include "error.h"
#include "network.h"
#include "structure.h"

namespace kiln {
namespace {

using nlohmann::json;

std::string list(const std::vector<int64_t>& values) { return fmt::format("{{{}}}", fmt::join(values, ", ")); }

/// A shape in the DSL, with kBatch for the batch.
std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> extents;
  for (const int64_t extent : shape) extents.push_back(extent == kBatchExtent ? "kBatch" : std::to_string(extent));
  return fmt::format("{{{}}}", fmt::join(extents, ", "));
}

/// Options of a call, of which those that have their default are left out.
class Options {
 public:
  void add(const char* name, const std::string& value) { texts_.push_back(fmt::format(".{} = {}", name, value)); }
  /// The call's last argument, or nothing.
  std::string text() const { return texts_.empty() ? "" : fmt::format(", {{{}}}", fmt::join(texts_, ", ")); }

 private:
  std::vector<std::string> texts_;
};

class Writer {
 public:
  explicit Writer(const json& description) : structure_(description) {}

  std::string write(const std::string& loss, const std::string& origin) {
    const json& description = structure_.description();
    const std::string name = description.at("name").get<std::string>();
    for (const json& node : description.at("nodes")) {
      for (const json& input : node.at("inputs")) ++uses_[input.get<int>()];
    }
    for (const json& output : description.at("outputs")) uses_[output.at("node").get<int>()] += 2;  // to the end
    for (const json& node : description.at("nodes")) statement(node);
    std::string text = fmt::format(
        "// Written by kiln_convert from {}; --load of the trainer and --model of the predictor bring its weights.\n"
        "#include \"dsl/graph.h\"\n\nusing namespace kiln;\n\nGraph network() {{\n  Graph g{{\"{}\"}};\n{}",
        printable(std::filesystem::path(origin).filename()), name, body_);
    for (const json& output : description.at("outputs"))
      text += fmt::format("  g.output(\"{}\", {});\n", output.at("name").get<std::string>(),
                          values_.at(output.at("node").get<int>()));
    text += training(structure_.node(description.at("outputs").at(0).at("node").get<int>()), loss);
    return text + "  return g;\n}\n\nKILN_GRAPH(network)\n";
  }

 private:
  /// The variable or number that stands for an input.
  const std::string& value(const json& node, size_t i) const { return values_.at(input_of(node, i)); }

  /// A line that gives the node's value to a variable: that of the first input nobody needs afterwards, or a new one.
  void assign(const json& node, const std::string& expression) {
    const int id = node.at("id").get<int>();
    std::string variable;
    for (const json& input : node.at("inputs")) {
      const int from = input.get<int>();
      if (--uses_[from] == 0 && variable.empty() && variables_.contains(values_[from])) variable = values_[from];
    }
    const bool fresh = variable.empty();
    if (fresh) {
      variable = tensors_ == 0 ? "x" : fmt::format("x{}", tensors_);
      ++tensors_;
      variables_.insert(variable);
    }
    values_[id] = variable;
    body_ += fmt::format("  {}{} = {};\n", fresh ? "Tensor " : "", variable, expression);
  }

  static std::string initializer(const json& parameter) {
    const double scale = attribute_of<double>(parameter, "scale");
    switch (attribute_of<int>(parameter, "initializer")) {
      case 1:
        return fmt::format("{{Initializer::Kind::uniform, {}}}", scale);
      case 2:
        return fmt::format("{{Initializer::Kind::normal, {}}}", scale);
      default:
        if (scale == 0 || scale == 1) return scale == 0 ? "zeros()" : "ones()";
        return fmt::format("{{Initializer::Kind::constant, {}}}", scale);
    }
  }

  static std::string pair(const std::vector<ImageWindow>& w, int64_t ImageWindow::*member) {
    return list({w[0].*member, w[1].*member});
  }
  static void add_padding(Options& options, const std::vector<ImageWindow>& w) {
    if (w[0].valid() && w[1].valid()) return;
    options.add("padding", w[0].same() && w[1].same() ? "Padding::same()"
                                                      : fmt::format("Padding::explicit_({}, {}, {}, {})", w[0].before,
                                                                    w[0].after(), w[1].before, w[1].after()));
  }

  std::string convolution(const json& n) const {
    const std::vector<ImageWindow> w = windows_of(n);
    const std::vector<int64_t> kernel = shape_of(structure_.input(n, 1));
    Options options;
    if (op_of(n) == "conv2d") options.add("filters", std::to_string(kernel.at(0)));
    options.add("kernel", pair(w, &ImageWindow::size));
    if (w[0].stride != 1 || w[1].stride != 1) options.add("strides", pair(w, &ImageWindow::stride));
    add_padding(options, w);
    if (w[0].dilation != 1 || w[1].dilation != 1) options.add("dilation", pair(w, &ImageWindow::dilation));
    if (op_of(n) == "conv2d") {
      if (attribute_of<int64_t>(n, "groups") != 1)
        options.add("groups", std::to_string(attribute_of<int64_t>(n, "groups")));
    } else if (kernel.at(1) != 1) {
      options.add("depth_multiplier", std::to_string(kernel.at(1)));
    }
    if (n.at("inputs").size() == 2) options.add("use_bias", "false");
    return fmt::format("{}({}{})", op_of(n), value(n, 0), options.text());
  }

  std::string pool(const json& n) const {
    const std::vector<ImageWindow> w = windows_of(n);
    Options options;
    options.add("size", pair(w, &ImageWindow::size));
    if (w[0].stride != w[0].size || w[1].stride != w[1].size) options.add("strides", pair(w, &ImageWindow::stride));
    add_padding(options, w);
    return fmt::format("{}({}{})", op_of(n), value(n, 0), options.text());
  }

  /// A call whose options are the node's attributes, by the same names.
  std::string call(const json& n, std::initializer_list<const char*> names) const {
    Options options;
    for (const char* name : names) {
      const json& attribute = n.at("attributes").at(name);
      options.add(name, attribute.is_array()          ? list(attribute.get<std::vector<int64_t>>())
                        : attribute.is_number_float() ? fmt::format("{}", attribute.get<double>())
                                                      : attribute.dump());
    }
    return fmt::format("{}({}{})", op_of(n), value(n, 0), options.text());
  }

  void statement(const json& n) {
    const std::string op = op_of(n);
    const int id = n.at("id").get<int>();
    if (op == "constant") {
      values_[id] = fmt::format("{}", attribute_of<double>(n, "value"));
      return;
    }
    if (op == "parameter") {
      const std::string name = attribute_of<std::string>(n, "name");
      if (name.find('/') != std::string::npos) return;  // its layer makes it
      values_[id] = parameters_ == 0 ? "w" : fmt::format("w{}", parameters_);
      ++parameters_;
      body_ += fmt::format("  const Tensor {} = g.parameter(\"{}\", {}, {}, {});\n", values_[id], name,
                           shape_text(shape_of(n)), initializer(n), attribute_of<bool>(n, "trainable"));
      return;
    }
    if (op == "input") {
      std::vector<int64_t> shape = shape_of(n);
      shape.erase(shape.begin());
      input_names_.insert(attribute_of<std::string>(n, "name"));
      return assign(n, fmt::format("g.input(\"{}\", {})", attribute_of<std::string>(n, "name"), shape_text(shape)));
    }
    if (op == "conv2d" || op == "depthwise_conv2d") return assign(n, convolution(n));
    if (op == "max_pool" || op == "min_pool" || op == "average_pool") return assign(n, pool(n));
    if (op == "dense") {
      Options options;
      options.add("units", n.at("shape").at(1).dump());
      if (n.at("inputs").size() == 2) options.add("use_bias", "false");
      return assign(n, fmt::format("dense({}{})", value(n, 0), options.text()));
    }
    if (op == "batch_norm") return assign(n, call(n, {"axis", "momentum", "epsilon"}));
    if (op == "leaky_relu") return assign(n, call(n, {"negative_slope"}));
    if (op == "elu") return assign(n, call(n, {"alpha"}));
    if (op == "gelu") return assign(n, call(n, {"approximate"}));
    if (op == "clip") return assign(n, call(n, {"min", "max"}));
    if (op == "dropout") return assign(n, call(n, {"rate"}));
    if (op == "zero_padding2d") return assign(n, call(n, {"padding"}));
    if (op == "pad") return assign(n, call(n, {"before", "after"}));
    if (op == "slice") return assign(n, call(n, {"begin", "size"}));
    if (op == "transpose" || op == "reduce_sum" || op == "reduce_mean" || op == "reduce_max")
      return assign(n, call(n, {"axes"}));
    if (op == "broadcast_to")
      return assign(n, fmt::format("broadcast_to({}, {{.shape = {}}})", value(n, 0), shape_text(shape_of(n))));
    if (op == "reshape") return assign(n, fmt::format("reshape({}, {})", value(n, 0), shape_text(shape_of(n))));
    if (op == "concatenate") {
      std::vector<std::string> inputs;
      for (size_t i = 0; i < n.at("inputs").size(); ++i) inputs.push_back(value(n, i));
      return assign(n, fmt::format("concatenate({{{}}}, {{.axis = {}}})", fmt::join(inputs, ", "),
                                   attribute_of<int64_t>(n, "axis")));
    }
    static const std::map<std::string, const char*> signs = {
        {"add", "+"}, {"subtract", "-"}, {"multiply", "*"}, {"divide", "/"}};
    const auto sign = signs.find(op);
    if (sign != signs.end() && !(is_number(n, 0) && is_number(n, 1)))
      return assign(n, fmt::format("{} {} {}", value(n, 0), sign->second, value(n, 1)));
    std::vector<std::string> inputs;  // the others have no options
    for (size_t i = 0; i < n.at("inputs").size(); ++i)
      inputs.push_back(is_number(n, i) ? fmt::format("g.constant({})", value(n, i)) : value(n, i));
    assign(n, fmt::format("{}({})", op, fmt::join(inputs, ", ")));
  }

  bool is_number(const json& node, size_t i) const { return op_of(structure_.input(node, i)) == "constant"; }

  /// Loss, metric and optimizer for the first output, where it has one value for each class.
  std::string training(const json& output, std::string loss) const {
    const std::vector<int64_t> shape = shape_of(output);
    const bool classes = shape.size() == 2 && shape[0] == kBatchExtent && shape[1] > 1;
    if (loss.empty()) {
      loss = !classes ? "none" : op_of(output) == "softmax" ? "categorical_cross_entropy" : "mean_squared_error";
    }
    if (loss == "none") return "";
    if (!classes) {
      throw UsageError(
          fmt::format("--loss {}: the output has no value for each of several classes; write the loss into the graph "
                      "file by hand",
                      loss));
    }
    const std::string op = op_of(output);
    const bool logits = (loss == "categorical_cross_entropy" && op != "softmax") ||
                        (loss == "binary_cross_entropy" && op != "sigmoid" && op != "softmax");
    const std::string prediction = values_.at(output.at("id").get<int>());
    std::string name = "label";
    while (input_names_.contains(name)) name += "_";
    return fmt::format(
        "\n  const Tensor label = g.label(\"{}\", {});\n"
        "  g.metric(\"accuracy\", categorical_accuracy({}, label));\n"
        "  g.train({{.loss = {}({}, label{}), .optimizer = adam(), .batch = 64, .epochs = 10}});\n",
        name, shape[1], prediction, loss, prediction, logits ? ", {.from_logits = true}" : "");
  }

  const Structure structure_;
  std::set<std::string> input_names_;
  std::map<int, int> uses_;
  std::map<int, std::string> values_;  // by node
  std::set<std::string> variables_;
  int tensors_ = 0, parameters_ = 0;
  std::string body_;
};

}  // namespace

std::string graph_source(const json& description, const std::string& loss, const std::string& origin) {
  return Writer(description).write(loss, origin);
}

}  // namespace kiln
