#include "random_graphs/sketch.h"

#include <fmt/ranges.h>

#include <functional>

#include "dsl/graph.h"

namespace kiln::testing {
namespace {

constexpr int kFirstLine = 6;  // of the file, after the lines that code() begins with

/// A line with its inputs, as the functions below want it.
struct LineCall {
  Graph& graph;
  const Line& line;
  std::string name;  // of the result, for inputs and parameters
  std::vector<Tensor> inputs;
  Location at;

  Tensor in(size_t i) const { return i < inputs.size() ? inputs[i] : Tensor{}; }
  Operand operand(size_t i) const { return {in(i), at}; }
  template <class Value>
  Value get(const char* setting, Value standard) const {
    for (const auto& [key, value] : line.settings) {
      if (key == setting) return std::get<Value>(value);
    }
    return standard;
  }
  int64_t integer(const char* setting, int64_t standard) const { return get(setting, standard); }
  double real(const char* setting, double standard) const { return get(setting, standard); }
  std::vector<int64_t> list(const char* setting, std::vector<int64_t> standard) const {
    return get(setting, std::move(standard));
  }
};

/// x times weights of units x inputs or, transposed, of inputs x units.
Contraction matrix_product(int64_t units, int64_t inputs, bool transposed) {
  const AffineIndex unit = {{0, 1, 0}}, input = {{0, 0, 1}};
  return {.loops = {"batch", "output", "input"},
          .extents = {kBatch, units, inputs},
          .output_rank = 2,
          .left = {{{1, 0, 0}}, input},
          .right = {transposed ? input : unit, transposed ? unit : input}};
}

Optimizer optimizer_of(const LineCall& c) {
  const auto name = c.get<std::string>("optimizer", "");
  const double rate = c.real("learning_rate", 1), clip_value = c.real("clip_value", 0),
               clip_norm = c.real("clip_norm", 0), global = c.real("global_clip_norm", 0);
  // With the usual 1e-7 a step is g / |g|: a gradient that is mere rounding would decide its sign.
  const double epsilon = c.real("epsilon", 0.1);
  if (name == "sgd")
    return sgd({rate, c.real("momentum", 0), c.get("nesterov", false), clip_value, clip_norm, global}, c.at);
  if (name == "rmsprop")
    return rmsprop({rate, 0.9, c.real("momentum", 0), epsilon, clip_value, clip_norm, global}, c.at);
  if (name == "adam")
    return adam({rate, 0.9, 0.999, epsilon, c.real("weight_decay", 0), clip_value, clip_norm, global}, c.at);
  if (name == "gradient") return gradient_itself();
  return {};
}

using Build = Tensor (*)(const LineCall&);

template <Tensor (*operation)(Operand)>
Tensor unary(const LineCall& c) {
  return operation(c.operand(0));
}
template <Tensor (*operation)(Operand, Operand)>
Tensor binary(const LineCall& c) {
  return operation(c.operand(0), c.operand(1));
}

PoolOptions pool_options(const LineCall& c) {
  return {.size = c.list("size", {2, 2}), .strides = c.list("strides", {}), .padding = c.get("padding", Padding{})};
}

ReduceOptions reduce_options(const LineCall& c) { return {.axes = c.list("axes", {})}; }

const std::map<std::string, Build>& operations() {
  static const std::map<std::string, Build> table = {
      {"input", [](const LineCall& c) { return c.graph.input(c.name, c.list("shape", {}), c.at); }},
      {"label", [](const LineCall& c) { return c.graph.label(c.name, c.integer("classes", 2), c.at); }},
      {"parameter",
       [](const LineCall& c) {
         return parameter(c.graph, c.name, c.list("shape", {}), {Initializer::Kind::uniform, c.real("scale", 0.5)},
                          true, c.at);
       }},
      {"constant", [](const LineCall& c) { return c.graph.constant(c.real("value", 0), c.at); }},
      {"abs", unary<abs>},
      {"argmax", unary<argmax>},
      {"erf", unary<erf>},
      {"exp", unary<exp>},
      {"flatten", unary<flatten>},
      {"global_average_pool", unary<global_average_pool>},
      {"global_max_pool", unary<global_max_pool>},
      {"log", unary<log>},
      {"log_softmax", unary<log_softmax>},
      {"negate", unary<negate>},
      {"relu", unary<relu>},
      {"selu", unary<selu>},
      {"sigmoid", unary<sigmoid>},
      {"softmax", unary<softmax>},
      {"softplus", unary<softplus>},
      {"sqrt", unary<sqrt>},
      {"square", unary<square>},
      {"stop_gradient", unary<stop_gradient>},
      {"tanh", unary<tanh>},
      {"to_real", unary<to_real>},
      {"add", binary<add>},
      {"divide", binary<divide>},
      {"maximum", binary<maximum>},
      {"minimum", binary<minimum>},
      {"multiply", binary<multiply>},
      {"subtract", binary<subtract>},
      {"where_positive", [](const LineCall& c) { return where_positive(c.operand(0), c.operand(1), c.operand(2)); }},
      {"alpha_dropout", [](const LineCall& c) { return alpha_dropout(c.in(0), {.rate = c.real("rate", 0.5)}, c.at); }},
      {"dropout", [](const LineCall& c) { return dropout(c.in(0), {.rate = c.real("rate", 0.5)}, c.at); }},
      {"average_pool", [](const LineCall& c) { return average_pool(c.in(0), pool_options(c), c.at); }},
      {"max_pool", [](const LineCall& c) { return max_pool(c.in(0), pool_options(c), c.at); }},
      {"min_pool", [](const LineCall& c) { return min_pool(c.in(0), pool_options(c), c.at); }},
      {"batch_norm",
       [](const LineCall& c) {
         return batch_norm(
             c.in(0),
             {.axis = c.integer("axis", -1), .momentum = c.real("momentum", 0.99), .epsilon = c.real("epsilon", 1e-3)},
             c.at);
       }},
      {"broadcast_to", [](const LineCall& c) { return broadcast_to(c.in(0), {.shape = c.list("shape", {})}, c.at); }},
      {"clip",
       [](const LineCall& c) { return clip(c.in(0), {.min = c.real("min", 0), .max = c.real("max", 1)}, c.at); }},
      {"concatenate", [](const LineCall& c) { return concatenate(c.inputs, {.axis = c.integer("axis", -1)}, c.at); }},
      {"conv2d",
       [](const LineCall& c) {
         return conv2d(c.in(0),
                       {.filters = c.integer("filters", 0),
                        .kernel = c.list("kernel", {3, 3}),
                        .strides = c.list("strides", {1, 1}),
                        .padding = c.get("padding", Padding{}),
                        .dilation = c.list("dilation", {1, 1}),
                        .groups = c.integer("groups", 1),
                        .use_bias = c.get("use_bias", true),
                        .kernel_l2 = c.real("kernel_l2", 0)},
                       c.at);
       }},
      {"depthwise_conv2d",
       [](const LineCall& c) {
         return depthwise_conv2d(c.in(0),
                                 {.kernel = c.list("kernel", {3, 3}),
                                  .strides = c.list("strides", {1, 1}),
                                  .padding = c.get("padding", Padding{}),
                                  .dilation = c.list("dilation", {1, 1}),
                                  .depth_multiplier = c.integer("depth_multiplier", 1),
                                  .use_bias = c.get("use_bias", true),
                                  .kernel_l2 = c.real("kernel_l2", 0)},
                                 c.at);
       }},
      {"dense",
       [](const LineCall& c) {
         return dense(
             c.in(0),
             {.units = c.integer("units", 0), .use_bias = c.get("use_bias", true), .kernel_l2 = c.real("kernel_l2", 0)},
             c.at);
       }},
      {"contraction",  // a dense layer whose weights may be shared
       [](const LineCall& c) {
         return contraction(c.in(0), c.in(1),
                            matrix_product(c.integer("units", 1), c.integer("inputs", 1), c.get("transposed", false)),
                            c.at);
       }},
      {"elu", [](const LineCall& c) { return elu(c.in(0), {.alpha = c.real("alpha", 1)}, c.at); }},
      {"gelu", [](const LineCall& c) { return gelu(c.in(0), {.approximate = c.get("approximate", false)}, c.at); }},
      {"leaky_relu",
       [](const LineCall& c) { return leaky_relu(c.in(0), {.negative_slope = c.real("negative_slope", 0.3)}, c.at); }},
      {"one_hot", [](const LineCall& c) { return one_hot(c.in(0), {.classes = c.integer("classes", 2)}, c.at); }},
      {"pad",
       [](const LineCall& c) {
         return pad(c.in(0), {.before = c.list("before", {}), .after = c.list("after", {})}, c.at);
       }},
      {"reduce_max", [](const LineCall& c) { return reduce_max(c.in(0), reduce_options(c), c.at); }},
      {"reduce_mean", [](const LineCall& c) { return reduce_mean(c.in(0), reduce_options(c), c.at); }},
      {"reduce_sum", [](const LineCall& c) { return reduce_sum(c.in(0), reduce_options(c), c.at); }},
      {"reshape", [](const LineCall& c) { return reshape(c.in(0), c.list("shape", {}), c.at); }},
      {"slice",
       [](const LineCall& c) {
         return slice(c.in(0), {.begin = c.list("begin", {}), .size = c.list("size", {})}, c.at);
       }},
      {"transpose", [](const LineCall& c) { return transpose(c.in(0), {.axes = c.list("axes", {})}, c.at); }},
      {"zero_padding2d",
       [](const LineCall& c) { return zero_padding2d(c.in(0), {.padding = c.list("padding", {1})}, c.at); }},
      {"binary_cross_entropy",
       [](const LineCall& c) {
         return binary_cross_entropy(
             c.in(0), c.in(1),
             {.from_logits = c.get("from_logits", false), .label_smoothing = c.real("label_smoothing", 0)}, c.at);
       }},
      {"categorical_cross_entropy",
       [](const LineCall& c) {
         return categorical_cross_entropy(
             c.in(0), c.in(1),
             {.from_logits = c.get("from_logits", false), .label_smoothing = c.real("label_smoothing", 0)}, c.at);
       }},
      {"mean_squared_error", [](const LineCall& c) { return mean_squared_error(c.in(0), c.in(1), c.at); }},
      {"binary_accuracy",
       [](const LineCall& c) {
         return binary_accuracy(c.in(0), c.in(1), {.threshold = c.real("threshold", 0.5)}, c.at);
       }},
      {"categorical_accuracy", [](const LineCall& c) { return categorical_accuracy(c.in(0), c.in(1), c.at); }},
      {"output",
       [](const LineCall& c) {
         c.graph.output(c.get<std::string>("name", "y"), c.in(0), c.at);
         return Tensor{};
       }},
      {"metric",
       [](const LineCall& c) {
         c.graph.metric(c.get<std::string>("name", "m"), c.in(0), c.at);
         return Tensor{};
       }},
      {"train",
       [](const LineCall& c) {
         c.graph.train({.loss = c.in(0), .optimizer = optimizer_of(c), .batch = c.integer("batch", 64)}, c.at);
         return Tensor{};
       }},
  };
  return table;
}

std::string number(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

std::string list(const std::vector<int64_t>& values) {
  std::vector<std::string> words;
  for (const int64_t value : values) words.push_back(value == kBatch ? "kBatch" : std::to_string(value));
  return fmt::format("{{{}}}", fmt::join(words, ", "));
}

std::string text(const Setting& setting) {
  struct Visitor {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return number(value); }
    std::string operator()(const std::vector<int64_t>& value) const { return list(value); }
    std::string operator()(const std::string& value) const { return '"' + value + '"'; }
    std::string operator()(const Padding& value) const {
      if (value.kind == Padding::Kind::explicit_)
        return fmt::format("Padding::explicit_({}, {}, {}, {})", value.top, value.bottom, value.left, value.right);
      return value.kind == Padding::Kind::same ? "Padding::same()" : "Padding::valid()";
    }
  };
  return std::visit(Visitor{}, setting);
}

std::string line_code(const Line& line, size_t index) {
  std::vector<std::string> inputs, settings;
  for (const int input : line.inputs) inputs.push_back(input < 0 ? "Tensor{}" : fmt::format("x{}", input));
  for (const auto& [key, value] : line.settings) settings.push_back(fmt::format(".{} = {}", key, text(value)));
  const auto setting = [&](const char* name, const std::string& standard) {
    for (const auto& [key, value] : line.settings) {
      if (key == name) return text(value);
    }
    return standard;
  };
  const std::string& op = line.operation;
  const std::string first = inputs.empty() ? "Tensor{}" : inputs[0];
  if (op == "output" || op == "metric") return fmt::format("g.{}({}, {});", op, setting("name", "\"y\""), first);
  if (op == "train") {
    std::string optimizer = setting("optimizer", "\"\"");
    optimizer = optimizer.substr(1, optimizer.size() - 2);
    std::vector<std::string> options;
    for (const auto& [key, value] : line.settings) {
      if (key != "optimizer" && key != "batch") options.push_back(fmt::format(".{} = {}", key, text(value)));
    }
    const std::string made =
        optimizer == "gradient"
            ? "{.name = \"gradient\", .update = [](const OptimizerCall& c) { c.graph.update(c.weight, c.gradient); }}"
        : optimizer.empty() ? "{}"
                            : fmt::format("{}({{{}}})", optimizer, fmt::join(options, ", "));
    return fmt::format("g.train({{.loss = {}, .optimizer = {}, .batch = {}}});", first, made, setting("batch", "64"));
  }
  const std::string result = fmt::format("const Tensor x{} = ", index);
  if (op == "input") return result + fmt::format("g.input(\"x{}\", {});", index, setting("shape", "{}"));
  if (op == "label") return result + fmt::format("g.label(\"x{}\", {});", index, setting("classes", "2"));
  if (op == "constant") return result + fmt::format("g.constant({});", setting("value", "0.0"));
  if (op == "parameter")
    return result + fmt::format("parameter(g, \"x{}\", {}, {{Initializer::Kind::uniform, {}}}, true);", index,
                                setting("shape", "{}"), setting("scale", "0.5"));
  if (op == "reshape") return result + fmt::format("reshape({}, {});", first, setting("shape", "{}"));
  if (op == "contraction") {
    const bool transposed = setting("transposed", "false") == "true";
    return result +
           fmt::format(
               "contraction({}, {{.loops = {{\"batch\", \"output\", \"input\"}}, .extents = {{kBatch, {}, "
               "{}}}, .output_rank = 2, .left = {{{{{{1, 0, 0}}}}, {{{{0, 0, 1}}}}}}, .right = {{{{{{0, {}}}}}, "
               "{{{{0, {}}}}}}}}});",
               fmt::join(inputs, ", "), setting("units", "1"), setting("inputs", "1"), transposed ? "0, 1" : "1, 0",
               transposed ? "1, 0" : "0, 1");
  }
  std::string arguments = fmt::format("{}", fmt::join(inputs, ", "));
  if (op == "concatenate") arguments = "{" + arguments + "}";
  if (!settings.empty() || op == "clip") arguments += fmt::format(", {{{}}}", fmt::join(settings, ", "));
  return result + fmt::format("{}({});", op, arguments);
}

}  // namespace

int file_line(size_t line) { return kFirstLine + static_cast<int>(line); }

Optimizer gradient_itself() {
  Optimizer optimizer;
  optimizer.name = "gradient";
  optimizer.update = [](const OptimizerCall& call) { call.graph.update(call.weight, call.gradient); };
  return optimizer;
}

Tensor build_line(Graph& graph, const Sketch& sketch, size_t index, const std::vector<Tensor>& results) {
  const Line& line = sketch.lines[index];
  LineCall call = {graph, line, fmt::format("x{}", index), {}, {kSketchFile, file_line(index)}};
  for (const int input : line.inputs) {
    const Tensor tensor = input < 0 ? Tensor{} : results.at(static_cast<size_t>(input));
    call.inputs.push_back(tensor ? tensor : Tensor(call.at));
  }
  return operations().at(line.operation)(call);
}

Graph build(const Sketch& sketch) {
  Graph graph{"random_graph"};
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < sketch.lines.size(); ++i) tensors.push_back(build_line(graph, sketch, i, tensors));
  return graph;
}

std::string code(const Sketch& sketch) {
  std::string text = "#include \"dsl/graph.h\"\nusing namespace kiln;\n\nGraph random_graph() {\n";
  text += "  Graph g{\"random_graph\"};\n";
  for (size_t i = 0; i < sketch.lines.size(); ++i) text += "  " + line_code(sketch.lines[i], i) + '\n';
  return text + "  return g;\n}\nKILN_GRAPH(random_graph)\n";
}

}  // namespace kiln::testing
