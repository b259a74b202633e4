#include "keras_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>

#include "error.h"
#include "keras_layers.h"
#include "parameters.h"
#include "structure.h"

namespace kiln {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& origin, const std::string& message) {
  throw DataError(origin + ": " + message);
}

KerasNetwork network_of(const KilnFile& file, const std::string& origin) {
  const json& description = description_in(file, origin);
  try {
    return keras_network(description);
  } catch (const DataError& error) {
    refuse(origin, error.what());
  }
}

/// The names that an optimizer's state has in Kiln, in Keras's order for one weight, and whether Keras goes through
/// them weight by weight (else name by name).
struct OptimizerState {
  std::vector<std::string> names;
  bool by_weight = false;
};

OptimizerState optimizer_state(const json& optimizer) {
  if (optimizer.is_null()) return {};
  const json& config = optimizer.at("config");
  const std::string name = optimizer.at("class_name").get<std::string>();
  const bool momentum = name != "Adam" && config.at("momentum").get<double>() != 0;
  if (name == "RMSprop")
    return {momentum ? std::vector<std::string>{"velocity", "momentum"} : std::vector<std::string>{"velocity"}};
  if (name == "SGD") return {momentum ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}};
  return {{"momentum", "velocity"}, true};
}

/// One of an optimizer's variables: the state that belongs to a weight.
struct OptimizerVariable {
  std::string layer;
  const KerasWeight* weight;
  std::string state;
};

std::vector<OptimizerVariable> optimizer_variables(
    const std::vector<std::pair<std::string, const KerasWeight*>>& weights, const OptimizerState& state) {
  std::vector<OptimizerVariable> result;
  if (state.by_weight) {
    for (const auto& [layer, weight] : weights) {
      for (const std::string& name : state.names) result.push_back({layer, weight, name});
    }
  } else {
    for (const std::string& name : state.names) {
      for (const auto& [layer, weight] : weights) result.push_back({layer, weight, name});
    }
  }
  return result;
}

/// A value as a Keras configuration has it, shortly.
std::string text(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

json keras_tensor(const KerasLayer& layer) {
  return {
      {"class_name", "__keras_tensor__"},
      {"config", {{"shape", layer.shape}, {"dtype", "float32"}, {"keras_history", json::array({layer.name(), 0, 0})}}}};
}

// --- what a file's model is ---

/// A layer of a file, without its activation, which becomes a step of its own.
struct Step {
  std::string layer, class_name;
  json config;
  std::vector<std::string> inputs;  // keys of other steps
  bool owns_weights = true;
};

struct FileNetwork {
  std::map<std::string, Step> steps;          // by key: the layer's name, or that and "/activation"
  std::map<std::string, std::string> result;  // of a layer: the key of its last step
  std::vector<std::string> outputs;           // keys
  std::vector<std::string> order;             // of layers
};

/// The layers that a list of Keras tensors names, in their order: Keras 3's objects, Keras 2's and older lists.
void collect_inputs(const json& value, std::vector<std::string>& names, int depth = 0) {
  if (depth > 32) return;
  if (value.is_object()) {
    if (value.value("class_name", json()) == "__keras_tensor__") {
      const json& history = value.at("config").at("keras_history");
      names.push_back(history.at(0).get<std::string>());
      return;
    }
    for (const auto& [key, inner] : value.items()) collect_inputs(inner, names, depth + 1);
  } else if (value.is_array()) {
    if (value.size() >= 3 && value[0].is_string() && value[1].is_number() && value[2].is_number()) {
      names.push_back(value[0].get<std::string>());
      return;
    }
    for (const json& inner : value) collect_inputs(inner, names, depth + 1);
  }
}

class FileReader {
 public:
  FileReader(const KerasModel& model, const std::string& origin) : model_(model), origin_(origin) {}

  FileNetwork read() {
    const std::string kind = model_.model.at("class_name").get<std::string>();
    const json& config = model_.model.at("config");
    if (kind == "Sequential") {
      std::string before;
      for (const json& layer : config.is_array() ? config : config.at("layers")) {
        std::vector<std::string> inputs;
        if (layer.at("class_name") != "InputLayer") {
          if (before.empty()) {  // without an InputLayer: its shape is not known, and not needed
            network_.steps["input"] = {"input", "InputLayer", json::object(), {}};
            network_.result["input"] = before = "input";
          }
          inputs.push_back(before);
        }
        before = add(layer, inputs);
      }
      if (before.empty()) refuse(origin_, "its model has no layers");
      network_.outputs = {network_.result.at(before)};
    } else if (kind == "Functional" || kind == "Model") {
      for (const json& layer : config.at("layers")) {
        const json& nodes = layer.at("inbound_nodes");
        if (nodes.size() > 1)
          refuse(origin_, fmt::format("layer '{}' is used {} times; Kiln's layers are used once",
                                      layer.at("config").at("name").get<std::string>(), nodes.size()));
        std::vector<std::string> inputs;
        if (!nodes.empty()) collect_inputs(nodes[0], inputs);
        add(layer, inputs);
      }
      std::vector<std::string> outputs;
      collect_inputs(config.at("output_layers"), outputs);
      for (const std::string& output : outputs) network_.outputs.push_back(result_of(output));
    } else {
      refuse(origin_, fmt::format("its model is a {}; Kiln reads Sequential and Functional ones", kind));
    }
    // Layers may be listed before their inputs.
    for (auto& [key, step] : network_.steps) {
      if (!step.owns_weights) continue;
      for (std::string& input : step.inputs) input = result_of(input);
    }
    return std::move(network_);
  }

 private:
  const std::string& result_of(const std::string& layer) const {
    const auto found = network_.result.find(layer);
    if (found == network_.result.end())
      refuse(origin_, fmt::format("its model names a layer '{}' that it lacks", layer));
    return found->second;
  }

  std::string add(const json& layer, const std::vector<std::string>& inputs) {
    const json& config = layer.at("config");
    const std::string name = config.at("name").get<std::string>(),
                      class_name = layer.at("class_name").get<std::string>();
    if (network_.steps.contains(name)) refuse(origin_, fmt::format("its model has two layers named '{}'", name));
    if (config.value("trainable", json(true)) == false && model_.weights.contains(name))
      refuse(origin_, fmt::format("layer '{}' is frozen (trainable is false); Kiln trains every layer", name));
    network_.order.push_back(name);
    network_.steps[name] = {name, class_name, config, inputs};
    network_.result[name] = name;
    const json activation = config.value("activation", json());
    if (class_name != "Activation" && !activation.is_null() && activation != "linear") {
      const std::string key = name + "/activation";
      network_.steps[key] = {name, "Activation", {{"activation", activation}}, {name}, false};
      network_.result[name] = key;
    }
    return name;
  }

  const KerasModel& model_;
  const std::string& origin_;
  FileNetwork network_;
};

// --- whether two layers are the same ---

/// An activation as one function name and its numbers, whichever layer Keras says it by.
std::optional<json> activation(const std::string& class_name, const json& config) {
  const auto number = [&](const char* name, double otherwise) {
    const json value = config.value(name, json(otherwise));
    return value.is_number() ? value.get<double>() : otherwise;
  };
  const auto leaky = [](double slope) {
    return slope == 0 ? json{{"activation", "relu"}} : json{{"activation", "leaky_relu"}, {"negative_slope", slope}};
  };
  if (class_name == "ReLU") {
    json result = leaky(number("negative_slope", 0));
    if (config.contains("max_value") && !config.at("max_value").is_null()) result["max_value"] = config.at("max_value");
    if (number("threshold", 0) != 0) result["threshold"] = number("threshold", 0);
    return result;
  }
  if (class_name == "LeakyReLU") return leaky(number("negative_slope", number("alpha", 0.3)));
  if (class_name == "ELU") return json{{"activation", "elu"}, {"alpha", number("alpha", 1)}};
  if (class_name == "Softmax") return json{{"activation", "softmax"}};
  if (class_name != "Activation") return std::nullopt;
  json name = config.value("activation", json());
  json inner = json::object();
  if (name.is_object()) {
    inner = name.value("config", json::object());
    name = inner.is_string() ? inner : name.value("class_name", json());
    if (!inner.is_object()) inner = json::object();
  }
  if (!name.is_string()) return json{{"activation", name}};
  std::string function = name.get<std::string>();
  if (function == "leaky_relu") return leaky(inner.value("negative_slope", 0.2));
  if (function == "LeakyReLU" || function == "ReLU" || function == "ELU" || function == "Softmax")
    return activation(function, inner);
  if (function == "elu") return json{{"activation", "elu"}, {"alpha", inner.value("alpha", 1.0)}};
  return json{{"activation", function}};
}

/// One number or several as `count` of them.
json numbers(const json& value, size_t count) {
  if (!value.is_number()) return value;
  return json(std::vector<json>(count, value));
}

/// The factor of an L2 regularizer, 0 where there is none; the name of another, which Kiln has not.
json l2_of(const json& config, const char* name) {
  const json regularizer = config.value(name, json());
  if (regularizer.is_null()) return 0.0;
  if (!regularizer.is_object()) return regularizer;
  const json inner = regularizer.value("config", json::object());
  const json l1 = inner.value("l1", json(0.0)), l2 = inner.value("l2", json(0.0));
  const bool plain = l1.is_number() && l1.get<double>() == 0 && l2.is_number() && inner.contains("l2");
  return plain ? l2 : regularizer.value("class_name", regularizer);
}

/// Zeros before the image that a window's padding means, and the number of outputs, for `extent` elements.
json window(const json& config, const char* size_key, const json& in, size_t d) {
  const auto at = [&](const json& values, int64_t otherwise) {
    return values.is_array() && values.size() == 2 && values[d].is_number_integer() ? values[d].get<int64_t>()
                                                                                    : otherwise;
  };
  const int64_t size = at(numbers(config.value(size_key, json()), 2), 0);
  json strides = numbers(config.value("strides", json()), 2);
  if (strides.is_null()) strides = std::string(size_key) == "pool_size" ? config.value(size_key, json()) : json{1, 1};
  const int64_t stride = at(numbers(strides, 2), 1),
                dilation = at(numbers(config.value("dilation_rate", json(1)), 2), 1);
  const int64_t extent =
      in.is_array() && in.size() == 4 && in[d + 1].is_number_integer() ? in[d + 1].get<int64_t>() : 0;
  const bool same = config.value("padding", json("valid")) == "same";
  const int64_t most = 1 << 20;
  if (stride < 1 || size < 1 || dilation < 1 || stride > most || size > most || dilation > most) return nullptr;
  const int64_t reach = (size - 1) * dilation + 1;
  const int64_t output = same ? (extent + stride - 1) / stride : (extent - reach) / stride + 1;
  return {{"padded before", same ? std::max<int64_t>((output - 1) * stride + reach - extent, 0) / 2 : 0},
          {"size", output}};
}

/// What decides the computation of a layer on an input of this shape, by what it is called in errors.
json essentials(const std::string& class_name, const json& config, const json& in) {
  if (auto function = activation(class_name, config)) {
    const json axis = class_name == "Softmax" ? config.value("axis", json(-1)) : json(-1);
    if (axis != json(-1) && axis != json(static_cast<int64_t>(in.size()) - 1)) (*function)["axis"] = axis;
    return *function;
  }
  json result = json::object();
  const auto take = [&](const char* name, const json& otherwise) { result[name] = config.value(name, otherwise); };
  const auto take_pair = [&](const char* name, const json& otherwise) {
    result[name] = numbers(config.value(name, otherwise), 2);
  };
  const auto take_axis = [&](const char* name) {
    json axis = config.value(name, json(-1));
    if (axis.is_array() && axis.size() == 1) axis = axis[0];
    if (axis.is_number_integer() && axis.get<int64_t>() < 0)
      axis = axis.get<int64_t>() + static_cast<int64_t>(in.size());
    result[name] = axis;
  };
  const bool convolution = class_name == "Conv2D", depthwise = class_name == "DepthwiseConv2D";
  const bool pooling = class_name == "MaxPooling2D" || class_name == "AveragePooling2D";
  if (convolution || depthwise || pooling) {
    const char* size = pooling ? "pool_size" : "kernel_size";
    take_pair(size, nullptr);
    result["strides"] = numbers(config.value("strides", json()), 2);
    if (result["strides"].is_null()) result["strides"] = pooling ? result[size] : json{1, 1};
    if (!pooling) take_pair("dilation_rate", 1);
    result["rows"] = window(config, size, in, 0);
    result["columns"] = window(config, size, in, 1);
  }
  if (convolution) take("filters", nullptr), take("groups", 1);
  if (depthwise) take("depth_multiplier", 1);
  if (class_name == "Dense") take("units", nullptr);
  if (convolution || depthwise || class_name == "Dense") {
    take("use_bias", true);
    result["L2 of the kernel"] = l2_of(config, depthwise ? "depthwise_regularizer" : "kernel_regularizer");
    result["L2 of the bias"] = l2_of(config, "bias_regularizer");
  }
  if (class_name == "BatchNormalization") {
    take_axis("axis");
    take("momentum", 0.99), take("epsilon", 1e-3), take("center", true), take("scale", true);
  }
  if (class_name == "Concatenate") take_axis("axis");
  if (class_name == "Dropout" || class_name == "AlphaDropout") take("rate", nullptr);
  if (class_name == "Rescaling") take("scale", nullptr), take("offset", 0.0);
  if (class_name == "Reshape") take("target_shape", nullptr);
  if (class_name == "Permute") take("dims", nullptr);
  if (class_name.starts_with("Global")) take("keepdims", false);
  if (class_name == "ZeroPadding2D") {
    json p = numbers(config.value("padding", json(1)), 2);
    if (p.is_array()) {
      for (json& side : p) side = numbers(side, 2);
    }
    result["padding"] = p;
  }
  for (const char* name :
       {"kernel_constraint", "depthwise_constraint", "bias_constraint", "gamma_constraint", "beta_constraint",
        "gamma_regularizer", "beta_regularizer", "activity_regularizer", "renorm"}) {
    const json value = config.value(name, json());
    if (!value.is_null() && value != false) result[name] = value.is_object() ? value.value("class_name", value) : value;
  }
  if (config.value("data_format", json("channels_last")) == "channels_first") result["data_format"] = "channels_first";
  return result;
}

bool equal(const json& a, const json& b) {
  if (a.is_number() && b.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    return x == y || std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y));  // written from an f32
  }
  if (a.is_array() && b.is_array()) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), equal);
  }
  return a == b;
}

/// Walks both networks from their outputs and pairs layers.
class Matcher {
 public:
  Matcher(const KerasNetwork& ours, const FileNetwork& theirs, const std::string& origin)
      : theirs_(theirs), origin_(origin) {
    for (const KerasLayer& layer : ours.layers) ours_[layer.name()] = &layer;
    if (ours.outputs.size() != theirs.outputs.size()) {
      refuse(origin,
             fmt::format("its model has {} outputs, the graph has {}", theirs.outputs.size(), ours.outputs.size()));
    }
    for (size_t i = 0; i < ours.outputs.size(); ++i) match(ours.outputs[i], theirs.outputs[i], "its output");
  }

  /// The file's layer for each of ours.
  const std::map<std::string, std::string>& layers() const { return layers_; }

 private:
  void match(const std::string& our_name, const std::string& their_key, const std::string& where) {
    const auto done = pairs_.find(our_name);
    if (done != pairs_.end()) {
      if (done->second != their_key)
        refuse(origin_,
               fmt::format("{} is '{}', where the graph has the result of '{}' again", where, their_key, done->second));
      return;
    }
    const KerasLayer& ours = *ours_.at(our_name);
    const Step* theirs = &step(their_key);
    for (size_t n = theirs_.steps.size(); n > 0 && is_nothing(*theirs) && theirs->inputs.size() == 1; --n)
      theirs = &step(theirs->inputs[0]);  // no more of them than steps: they may go round in a circle
    const bool functions = activation(ours.class_name, ours.config).has_value() &&
                           activation(theirs->class_name, theirs->config).has_value();
    if (!functions && ours.class_name != theirs->class_name) {
      refuse(origin_, fmt::format("layer '{}' is {}, where the graph has {} ({})", theirs->layer,
                                  described(theirs->class_name, theirs->config),
                                  described(ours.class_name, ours.config), ours.place));
    }
    if (ours.class_name != "InputLayer") {
      const json in = ours_.at(ours.inputs.at(0))->shape;
      const json expected = essentials(ours.class_name, ours.config, in),
                 found = essentials(theirs->class_name, theirs->config, in);
      for (const auto& [key, value] : expected.items()) {
        const json other = found.value(key, json());
        if (!equal(value, other)) {
          refuse(origin_, fmt::format("layer '{}': {} is {}, the graph has {} ({})", theirs->layer, key, text(other),
                                      text(value), ours.place));
        }
      }
      for (const auto& [key, value] : found.items()) {
        if (!expected.contains(key))
          refuse(origin_, fmt::format("layer '{}' has {} {}, the graph has none ({})", theirs->layer, key, text(value),
                                      ours.place));
      }
    } else if (const json shape =
                   theirs->config.value("batch_shape", theirs->config.value("batch_input_shape", json()));
               !shape.is_null() && (shape.size() != ours.shape.size() ||
                                    !std::equal(shape.begin() + 1, shape.end(), ours.shape.begin() + 1))) {
      refuse(origin_,
             fmt::format("its input has the shape {}, the graph's {} ({})", text(shape), text(ours.shape), ours.place));
    }
    if (ours.inputs.size() != theirs->inputs.size()) {
      refuse(origin_, fmt::format("layer '{}' has {} inputs, the graph has {} ({})", theirs->layer,
                                  theirs->inputs.size(), ours.inputs.size(), ours.place));
    }
    pairs_[our_name] = their_key;
    layers_[our_name] = theirs->layer;
    for (size_t i = 0; i < ours.inputs.size(); ++i)
      match(ours.inputs[i], theirs->inputs[i], fmt::format("an input of layer '{}'", theirs->layer));
  }

  const Step& step(const std::string& key) const {
    const auto found = theirs_.steps.find(key);
    if (found == theirs_.steps.end()) refuse(origin_, fmt::format("its model names a layer '{}' that it lacks", key));
    return found->second;
  }

  static bool is_nothing(const Step& step) {
    return step.class_name == "Identity" ||
           (step.class_name == "Activation" && step.config.value("activation", json()) == "linear");
  }

  static std::string described(const std::string& class_name, const json& config) {
    const auto function = activation(class_name, config);
    return function ? "the activation " + text(function->at("activation")) : class_name;
  }

  std::map<std::string, const KerasLayer*> ours_;
  const FileNetwork& theirs_;
  const std::string& origin_;
  std::map<std::string, std::string> pairs_, layers_;
};

}  // namespace

std::vector<KerasLayerName> layer_names(const KerasModel& model, const std::string& origin) {
  std::vector<KerasLayerName> result;
  try {
    const json& config = model.model.at("config");
    for (const json& layer : config.is_array() ? config : config.at("layers"))
      result.push_back({layer.at("config").at("name").get<std::string>(), layer.at("class_name").get<std::string>()});
  } catch (const json::exception& error) {
    refuse(origin, fmt::format("its model's description is not what it should be ({})", error.what()));
  }
  return result;
}

KerasModel to_keras(const KilnFile& file, const std::string& origin) {
  const KerasNetwork network = network_of(file, origin);
  const std::map<std::string, Parameter> all = parameters_by_name(file, origin);
  KerasModel model;
  json layers = json::array();
  std::map<std::string, const KerasLayer*> by_layer;
  std::vector<std::pair<std::string, const KerasWeight*>> trainable;
  const auto array_of = [&](const KerasWeight& weight, const std::string& parameter) {
    const Parameter& p = find_parameter(all, parameter, origin);
    if (p.shape != weight.shape)
      refuse(origin, fmt::format("parameter '{}' has another shape than its graph says", parameter));
    return transposed({p.shape, read_parameter(file, p)}, weight.order);
  };
  for (const KerasLayer& layer : network.layers) {
    json inbound = json::array();
    if (layer.inputs.size() == 1) {
      inbound = {{{"args", json::array({keras_tensor(*by_layer.at(layer.inputs[0]))})}, {"kwargs", json::object()}}};
    } else if (!layer.inputs.empty()) {
      json tensors = json::array();
      for (const std::string& input : layer.inputs) tensors.push_back(keras_tensor(*by_layer.at(input)));
      inbound = {{{"args", json::array({tensors})}, {"kwargs", json::object()}}};
    }
    by_layer[layer.name()] = &layer;
    layers.push_back({{"module", "keras.layers"},
                      {"class_name", layer.class_name},
                      {"config", layer.config},
                      {"registered_name", nullptr},
                      {"name", layer.name()},
                      {"inbound_nodes", inbound}});
    for (const KerasWeight& weight : layer.weights) {
      model.weights[layer.name()].push_back({weight.name, array_of(weight, weight.parameter)});
      if (weight.trainable) trainable.emplace_back(layer.name(), &weight);
    }
  }
  const auto ends = [](const std::vector<std::string>& names) {
    if (names.size() == 1) return json::array({names[0], 0, 0});  // else the model would take and give lists
    json result = json::array();
    for (const std::string& name : names) result.push_back(json::array({name, 0, 0}));
    return result;
  };
  model.model = {{"class_name", "Functional"},
                 {"config",
                  {{"name", network.name},
                   {"trainable", true},
                   {"layers", layers},
                   {"input_layers", ends(network.inputs)},
                   {"output_layers", ends(network.outputs)}}}};
  if (network.optimizer.is_null()) return model;
  model.compile = network.compile;
  model.optimizer = network.optimizer;
  const json& progress = file.checkpoint.progress;
  // What the graph file leaves open is as the network was trained.
  json& loss = model.compile.at("loss").at("config");
  if (loss.value("label_smoothing", 1.0) == 0)
    loss["label_smoothing"] = progress.value("options", json::object()).value("label_smoothing", 0.0);
  const double rate = progress.value("learning_rate", network.optimizer.at("config").at("learning_rate").get<double>());
  model.optimizer["config"]["learning_rate"] = rate;
  const auto variables = optimizer_variables(trainable, optimizer_state(network.optimizer));
  if (file.checkpoint.optimizer.empty() && !variables.empty()) return model;  // a model to predict with
  model.optimizer_variables.push_back({"iteration", {{}, {static_cast<float>(progress.value("steps", 0))}, true}});
  model.optimizer_variables.push_back({"learning_rate", {{}, {static_cast<float>(rate)}}});
  for (const OptimizerVariable& v : variables) {
    model.optimizer_variables.push_back({fmt::format("{}_{}_{}", v.layer, v.weight->name, v.state),
                                         array_of(*v.weight, fmt::format("{}/{}", v.weight->parameter, v.state))});
  }
  return model;
}

KilnFile from_keras(const KerasModel& model, const KilnFile& like, const std::string& origin) {
  const KerasNetwork network = network_of(like, "the graph of this program");
  FileNetwork theirs;
  try {
    theirs = FileReader(model, origin).read();
  } catch (const json::exception& error) {
    refuse(origin, fmt::format("its model's description is not what it should be ({})", error.what()));
  }
  const Matcher matcher(network, theirs, origin);
  const std::map<std::string, Parameter> all = parameters_by_name(like, "the graph of this program");
  KilnFile result = like;
  result.checkpoint.average.clear();
  result.checkpoint.best.clear();
  json& progress = result.checkpoint.progress = json::object();
  json notes = json::array();
  const auto put = [&](const NamedArray& from, const KerasWeight& weight, const std::string& parameter,
                       const std::string& what) {
    std::vector<int64_t> shape;
    for (const size_t d : weight.order) shape.push_back(weight.shape[d]);
    if (from.array.shape != shape) {
      refuse(origin, fmt::format("{} has the shape {}, expected {}", what, fmt::join(from.array.shape, "x"),
                                 fmt::join(shape, "x")));
    }
    for (const float value : from.array.values) {
      if (!std::isfinite(value)) refuse(origin, what + " has a value that is infinite or not a number");
    }
    write_parameter(result, find_parameter(all, parameter, "the graph of this program"),
                    transposed(from.array, inverse(weight.order)).values);
  };
  std::map<std::string, const KerasLayer*> by_theirs;
  for (const KerasLayer& layer : network.layers) {
    const auto paired = matcher.layers().find(layer.name());
    if (paired == matcher.layers().end() || layer.weights.empty()) continue;
    by_theirs[paired->second] = &layer;
    const auto weights = model.weights.find(paired->second);
    const size_t count = weights == model.weights.end() ? 0 : weights->second.size();
    if (count != layer.weights.size()) {
      refuse(origin, fmt::format("layer '{}' has {} weights, expected {} ({})", paired->second, count,
                                 layer.weights.size(), layer.place));
    }
    for (size_t i = 0; i < count; ++i) {
      put(weights->second[i], layer.weights[i], layer.weights[i].parameter,
          fmt::format("{} of layer '{}'", layer.weights[i].name, paired->second));
    }
  }

  // The optimizer's variables are in the order of the file's layers.
  std::vector<std::pair<std::string, const KerasWeight*>> trainable;
  for (const std::string& name : theirs.order) {
    const auto layer = by_theirs.find(name);
    if (layer == by_theirs.end()) continue;
    for (const KerasWeight& weight : layer->second->weights) {
      if (weight.trainable) trainable.emplace_back(name, &weight);
    }
  }
  const auto without_state = [&](const std::string& why) {
    if (!result.checkpoint.optimizer.empty()) notes.push_back("the optimizer begins anew: " + why);
    std::fill(result.checkpoint.optimizer.begin(), result.checkpoint.optimizer.end(), uint8_t{0});
  };
  const auto variables = optimizer_variables(trainable, optimizer_state(network.optimizer));
  const std::string ours = network.optimizer.is_null() ? "" : network.optimizer.at("class_name").get<std::string>();
  std::string class_name = model.optimizer.is_object() && model.optimizer.value("class_name", json()).is_string()
                               ? model.optimizer.at("class_name").get<std::string>()
                               : "";
  if (const size_t end = class_name.rfind('>'); end != std::string::npos)
    class_name.erase(0, end + 1);  // "Custom>Adam"
  if (network.optimizer.is_null()) {
  } else if (model.optimizer_variables.empty()) {
    without_state("the file has no state of one");
  } else if (!class_name.empty() && class_name != ours) {
    without_state(fmt::format("the file has {}'s, the graph has {}", class_name, ours));
  } else if (model.optimizer_variables.size() != variables.size() + 2) {
    without_state(fmt::format("the file has {} variables of it, the graph's {} has {}",
                              model.optimizer_variables.size(), ours, variables.size() + 2));
  } else {
    for (size_t i = 0; i < 2; ++i) {
      const NamedArray& scalar = model.optimizer_variables[i];
      if (scalar.array.values.size() != 1 || !std::isfinite(scalar.array.values[0]) || scalar.array.values[0] < 0)
        refuse(origin, "the optimizer's iteration or learning rate is no such number");
    }
    const float steps = model.optimizer_variables[0].array.values[0];
    if (steps > 2e9F) refuse(origin, "the optimizer's iteration is no such number");
    progress["steps"] = static_cast<int64_t>(steps);
    progress["learning_rate"] = as_written(model.optimizer_variables[1].array.values[0]);
    for (size_t i = 0; i < variables.size() && !result.checkpoint.optimizer.empty(); ++i) {
      put(model.optimizer_variables[i + 2], *variables[i].weight,
          fmt::format("{}/{}", variables[i].weight->parameter, variables[i].state),
          fmt::format("the optimizer's {} of {} of layer '{}'", variables[i].state, variables[i].weight->name,
                      variables[i].layer));
    }
    if (model.optimizer.is_object() && model.optimizer.value("config", json()).is_object()) {
      for (const auto& [key, value] : network.optimizer.at("config").items()) {
        if (key == "name" || key == "learning_rate") continue;
        const json other = model.optimizer.at("config").value(key, value);
        if (!equal(value, other))
          notes.push_back(fmt::format("the file's optimizer has {} {}, the graph's {}", key, text(other), text(value)));
      }
    }
  }
  progress["notes"] = notes;
  return result;
}

}  // namespace kiln
