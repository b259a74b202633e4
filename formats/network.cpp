#include "network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "error.h"
#include "parameters.h"
#include "structure.h"

namespace kiln {

using nlohmann::json;

std::string identifier(const std::string& name) {
  std::string result;
  for (const char c : name.substr(0, 100)) result += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  if (result.empty() || std::isdigit(static_cast<unsigned char>(result[0])) != 0) result.insert(0, "_");
  return result;
}

std::string printable(const std::string& name) {
  std::string result = name.substr(0, 100);
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
  }
  return result;
}

std::string NetworkBuilder::unique_name(const std::string& wanted) {
  const std::string name = identifier(wanted);
  std::string unique = name;  // the number goes behind what identifier() left of a long name
  while (names_.contains(unique)) unique = fmt::format("{}_{}", name, ++names_[name]);
  names_[unique] = 0;
  return unique;
}

int NetworkBuilder::append(Node node) {
  int64_t room = INT32_MAX;
  for (size_t d = 0; d < node.shape.size(); ++d) {
    const int64_t extent = node.shape[d];
    if (d == 0 && extent == kBatchExtent) continue;
    if (extent < 1 || extent > room)
      throw DataError(fmt::format("{} would have the shape {}", node.op, fmt::join(node.shape, "x")));
    room /= extent;
  }
  node.line = line_;
  nodes_.push_back(std::move(node));
  return static_cast<int>(nodes_.size()) - 1;
}

int NetworkBuilder::add(const std::string& op, const std::vector<int>& inputs, json attributes,
                        const std::vector<int64_t>& shape) {
  return append({.op = op,
                 .inputs = inputs,
                 .attributes = std::move(attributes),
                 .shape = shape,
                 .layer = layers_++,
                 .layer_op = op});
}

int NetworkBuilder::add_constant(double value) { return add("constant", {}, {{"value", value}}, {}); }

int NetworkBuilder::add_input(const std::string& name, const std::vector<int64_t>& shape) {
  return add("input", {}, {{"name", unique_name(name)}, {"shape", shape}, {"integer", false}}, shape);
}

int NetworkBuilder::add_parameter(const std::string& name, Array values, bool trainable) {
  if (values.values.empty()) throw DataError(fmt::format("'{}' has no elements", identifier(name)));
  // What the graph begins with, if nobody loads the file's values: their one value, or uniform in their range.
  const auto [low, high] = std::minmax_element(values.values.begin(), values.values.end());
  const bool same = *low == *high;
  const float scale = same ? *low : std::max(std::abs(*low), std::abs(*high));
  const std::vector<int64_t> shape = values.shape;
  const int node = add("parameter", {},
                       {{"name", unique_name(name)},
                        {"shape", shape},
                        {"initializer", same ? 0 : 1},
                        {"scale", as_written(scale)},
                        {"trainable", trainable}},
                       shape);
  nodes_.back().values = std::move(values);
  return node;
}

int NetworkBuilder::add_layer(const std::string& op, int input, std::vector<Weight> weights, json attributes,
                              const std::vector<int64_t>& shape) {
  const int layer = layers_++;
  std::vector<int> inputs = {input};
  for (Weight& weight : weights) {
    const std::vector<int64_t> weight_shape = weight.values.shape;
    inputs.push_back(append({.op = "parameter",
                             .inputs = {},
                             .attributes = {{"name", weight.name},
                                            {"shape", weight_shape},
                                            {"initializer", weight.initializer},
                                            {"scale", weight.scale},
                                            {"trainable", weight.trainable}},
                             .shape = weight_shape,
                             .layer = layer,
                             .layer_op = op,
                             .values = std::move(weight.values)}));
  }
  return append({.op = op,
                 .inputs = inputs,
                 .attributes = std::move(attributes),
                 .shape = shape,
                 .layer = layer,
                 .layer_op = op});
}

void NetworkBuilder::output(const std::string& name, int node) { outputs_.emplace_back(unique_name(name), node); }

Network NetworkBuilder::finish() {
  std::vector<bool> live(nodes_.size(), false);
  for (const auto& [name, node] : outputs_) live[static_cast<size_t>(node)] = true;
  for (size_t i = nodes_.size(); i-- > 0;) {
    if (!live[i]) continue;
    for (const int input : nodes_[i].inputs) live[static_cast<size_t>(input)] = true;
  }
  Network network;
  json nodes = json::array(), outputs = json::array();
  std::map<int, std::string> layers;
  std::map<std::string, int> counts;
  std::vector<int> ids(nodes_.size(), -1);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!live[i]) continue;
    Node& node = nodes_[i];
    std::string& layer = layers[node.layer];
    if (layer.empty()) {
      const int count = counts[node.layer_op]++;
      layer = count == 0 ? node.layer_op : fmt::format("{}_{}", node.layer_op, count);
    }
    if (node.op == "parameter") {
      json& name = node.attributes["name"];
      if (node.layer_op != "parameter") name = fmt::format("{}/{}", layer, name.get<std::string>());
      network.parameters[name.get<std::string>()] = std::move(node.values);
    }
    json shape = json::array(), inputs = json::array();
    for (const int64_t extent : node.shape) shape.push_back(extent == kBatchExtent ? json() : json(extent));
    for (const int input : node.inputs) inputs.push_back(ids[static_cast<size_t>(input)]);
    ids[i] = static_cast<int>(nodes.size());
    nodes.push_back({{"id", ids[i]},
                     {"op", node.op},
                     {"layer", layer},
                     {"inputs", inputs},
                     {"attributes", node.attributes.is_null() ? json::object() : node.attributes},
                     {"shape", shape},
                     {"file", file_},
                     {"line", node.line}});
  }
  for (const auto& [name, node] : outputs_)
    outputs.push_back({{"name", name}, {"node", ids[static_cast<size_t>(node)]}});
  network.structure = {{"name", name_},       {"nodes", nodes},
                       {"outputs", outputs},  {"metrics", json::array()},
                       {"loss", nullptr},     {"regularizers", json::array()},
                       {"optimizer", nullptr}};
  return network;
}

namespace {

bool equal(const json& a, const json& b) {
  if (a.is_number() && b.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    return x == y || std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y));  // one was written as an f32
  }
  if (a.is_array() && b.is_array()) return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), equal);
  return a == b;
}

/// Walks the graph and the file's network from their outputs and pairs parameters.
class Matcher {
 public:
  Matcher(const Structure& ours, const Structure& theirs, const std::map<std::string, Array>& values,
          const std::string& origin)
      : ours_(ours), theirs_(theirs), values_(values), origin_(origin) {
    const json &our_outputs = ours.description().at("outputs"), &their_outputs = theirs.description().at("outputs");
    if (our_outputs.size() != their_outputs.size()) {
      throw DataError(fmt::format("{}: its network has {} outputs, the graph has {}", origin, their_outputs.size(),
                                  our_outputs.size()));
    }
    for (size_t i = 0; i < our_outputs.size(); ++i)
      match(our_outputs[i].at("node").get<int>(), their_outputs[i].at("node").get<int>());
  }

  /// The file's values for each of our parameters.
  const std::map<std::string, std::vector<float>>& parameters() const { return parameters_; }

 private:
  /// Without what does nothing in prediction.
  static const json& computing(const Structure& structure, int id) {
    const json* node = &structure.node(id);
    while (does_nothing(structure, *node)) node = &structure.input(*node, 0);
    return *node;
  }

  static bool does_nothing(const Structure& structure, const json& node) {
    static const std::set<std::string> always = {"dropout", "alpha_dropout", "stop_gradient"},
                                       of_one_shape = {"reshape",        "slice",       "pad",
                                                       "zero_padding2d", "concatenate", "broadcast_to"};
    const std::string op = kind(node);
    if (always.contains(op)) return true;
    if (op == "transpose") {
      const auto axes = attribute_of<std::vector<int64_t>>(node, "axes");
      return std::is_sorted(axes.begin(), axes.end());
    }
    return of_one_shape.contains(op) && structure.input(node, 0).at("shape") == node.at("shape");
  }

  /// A parameter's shape as its use sees it: broadcasting adds dimensions of 1 in front.
  static json use_shape(const json& node) {
    json shape = node.at("shape");
    while (op_of(node) == "parameter" && !shape.empty() && shape.at(0) == 1) shape.erase(0);
    return shape;
  }

  static std::string kind(const json& node) {
    const std::string op = op_of(node);
    return op == "flatten" ? "reshape" : op;
  }

  static std::string described(const json& node) {
    return fmt::format("layer '{}'", node.at("layer").get<std::string>());
  }

  [[noreturn]] void refuse_second(const json& ours, const json& theirs) const {
    throw DataError(fmt::format("{}: {} is another value, where the graph uses one a second time ({})", origin_,
                                described(theirs), place_of(ours)));
  }

  void take(const json& parameter, const json& theirs, const std::vector<float>& values) {
    const auto [taken, fresh] = parameters_.emplace(attribute_of<std::string>(parameter, "name"), values);
    if (!fresh && taken->second != values) refuse_second(parameter, theirs);
  }

  void match(int our_id, int their_id) {
    const json &ours = computing(ours_, our_id), &theirs = computing(theirs_, their_id);
    const bool written_twice = op_of(ours) == "constant" || op_of(ours) == "parameter";  // perhaps, in the file
    const auto [pair, fresh] = pairs_.emplace(ours.at("id").get<int>(), theirs.at("id").get<int>());
    if (!fresh && !written_twice) {
      if (pair->second != theirs.at("id").get<int>()) refuse_second(ours, theirs);
      return;
    }
    if (op_of(ours) == "parameter" && op_of(theirs) == "constant" && use_shape(ours).empty())
      return take(ours, theirs, {attribute_of<float>(theirs, "value")});
    if (kind(ours) != kind(theirs)) {
      throw DataError(fmt::format("{}: {} is {}, where the graph has {} ({})", origin_, described(theirs),
                                  op_of(theirs), op_of(ours), place_of(ours)));
    }
    if (use_shape(ours) != use_shape(theirs)) {
      throw DataError(fmt::format("{}: {} has the shape {}, the graph's {} has {} ({})", origin_, described(theirs),
                                  text(theirs), op_of(ours), text(ours), place_of(ours)));
    }
    static const std::set<std::string> free = {"name",     "initializer", "scale", "trainable",
                                               "momentum", "shape",       "size"};
    const json &our_attributes = ours.at("attributes"), &their_attributes = theirs.at("attributes");
    for (const auto& [name, value] : our_attributes.items()) {
      const json other = their_attributes.value(name, json());
      if (free.contains(name) || equal(value, other)) continue;
      throw DataError(fmt::format("{}: {}: {} is {}, the graph has {} ({})", origin_, described(theirs), name,
                                  other.dump(), value.dump(), place_of(ours)));
    }
    if (op_of(ours) == "parameter")
      return take(ours, theirs, values_.at(attribute_of<std::string>(theirs, "name")).values);
    const size_t count = ours.at("inputs").size(), their_count = theirs.at("inputs").size();
    if (count != their_count) {
      throw DataError(fmt::format("{}: {} has {} inputs, the graph's {} has {} ({})", origin_, described(theirs),
                                  their_count, op_of(ours), count, place_of(ours)));
    }
    for (size_t i = 0; i < count; ++i) match(input_of(ours, i), input_of(theirs, i));
  }

  static std::string text(const json& node) {
    std::vector<std::string> extents;
    for (const int64_t extent : shape_of(node))
      extents.push_back(extent == kBatchExtent ? "N" : std::to_string(extent));
    return extents.empty() ? "of a number" : fmt::format("{}", fmt::join(extents, "x"));
  }

  const Structure &ours_, &theirs_;
  const std::map<std::string, Array>& values_;
  const std::string& origin_;
  std::map<int, int> pairs_;
  std::map<std::string, std::vector<float>> parameters_;
};

}  // namespace

KilnFile with_weights_of(const Network& network, const KilnFile& like, const std::string& origin) {
  const std::string graph = "the graph of this program";
  KilnFile result = like;
  result.checkpoint.average.clear();
  result.checkpoint.best.clear();
  std::fill(result.checkpoint.optimizer.begin(), result.checkpoint.optimizer.end(), uint8_t{0});
  try {
    const Structure ours(description_in(like, graph)), theirs(network.structure);
    const Matcher matcher(ours, theirs, network.parameters, origin);
    const std::map<std::string, Parameter> all = parameters_by_name(like, graph);
    for (const auto& [name, values] : matcher.parameters())
      write_parameter(result, find_parameter(all, name, graph), values);
  } catch (const json::exception& error) {
    throw DataError(fmt::format("{}: its description is not what it should be ({})", graph, error.what()));
  }
  result.checkpoint.progress = {{"notes", json::array({"ONNX files hold weights alone: the optimizer begins anew"})}};
  return result;
}

}  // namespace kiln
