#include "keras_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "error.h"
#include "structure.h"

namespace kiln {
namespace {

using nlohmann::json;

/// An object of Keras's that is written down by class and configuration.
json object(const char* module, const char* class_name, json config) {
  return {{"module", module}, {"class_name", class_name}, {"config", std::move(config)}, {"registered_name", nullptr}};
}

json initializer(const json& parameter) {
  const json& attributes = parameter.at("attributes");
  const double scale = attributes.at("scale").get<double>();
  switch (attributes.at("initializer").get<int>()) {
    case 1:
      return object("keras.initializers", "RandomUniform", {{"minval", -scale}, {"maxval", scale}, {"seed", nullptr}});
    case 2:
      return object("keras.initializers", "TruncatedNormal", {{"mean", 0.0}, {"stddev", scale}, {"seed", nullptr}});
    default:
      return object("keras.initializers", "Constant", {{"value", scale}});
  }
}

class Builder {
 public:
  explicit Builder(const json& description) : structure_(description) {
    for (const json& r : description.at("regularizers")) l2_[r.at("weight").get<int>()] += r.at("l2").get<double>();
  }

  KerasNetwork build() {
    KerasNetwork network;
    network.name = structure_.description().at("name").get<std::string>();
    for (const json& output : structure_.description().at("outputs")) {
      const int id = output.at("node").get<int>();
      network.outputs.push_back(layer_of(id));
      outputs_.push_back(id);
    }
    sort_as_keras(network.outputs);
    for (const KerasLayer& layer : layers_) {
      if (layer.class_name == "InputLayer") network.inputs.push_back(layer.name());
    }
    if (network.inputs.empty()) refuse_node(node(outputs_.at(0)), "Keras has no model without an input");
    network.layers = std::move(layers_);
    if (!structure_.description().at("loss").is_null()) {
      network.compile = compile();
      network.optimizer = optimizer();
    }
    return network;
  }

 private:
  const json& node(int id) const { return structure_.node(id); }

  /// Appends a layer with the node's place and shape; `suffix` where a node needs several.
  std::string add(const json& node, const char* class_name, json config, std::vector<std::string> inputs,
                  std::vector<KerasWeight> weights = {}, const std::string& suffix = "") {
    config["name"] = node.at("layer").get<std::string>() + suffix;
    std::replace(config["name"].get_ref<std::string&>().begin(), config["name"].get_ref<std::string&>().end(), '/',
                 '_');
    config["trainable"] = true;
    config["dtype"] = "float32";
    layers_.push_back(
        {class_name, std::move(config), std::move(inputs), std::move(weights), node.at("shape"), place_of(node)});
    return layers_.back().name();
  }

  KerasWeight weight(const json& user, size_t input_index, const char* name, std::vector<size_t> order,
                     bool trainable = true) {
    const json& parameter = node(input_of(user, input_index));
    if (op_of(parameter) != "parameter")
      refuse_node(user, fmt::format("its {} is computed, and Keras's layers own theirs", name));
    if (!used_.insert(input_of(user, input_index)).second)
      refuse_node(user, fmt::format("its {} is another layer's too, and Keras's layers own theirs", name));
    return {name, attribute_of<std::string>(parameter, "name"), parameter.at("shape").get<std::vector<int64_t>>(),
            std::move(order), trainable};
  }

  /// The common part of layers with a kernel and perhaps a bias.
  json with_kernel(const json& node, const char* kernel, json config) const {
    const bool bias = node.at("inputs").size() == 3;
    const std::string prefix = kernel;
    config["activation"] = "linear";
    config["use_bias"] = bias;
    config[prefix + "_initializer"] = initializer(this->node(input_of(node, 1)));
    if (bias) config["bias_initializer"] = initializer(this->node(input_of(node, 2)));
    const auto l2 = l2_.find(input_of(node, 1));
    config[prefix + "_regularizer"] =
        l2 == l2_.end() ? json() : object("keras.regularizers", "L2", {{"l2", l2->second}});
    return config;
  }

  static json pair(const std::vector<ImageWindow>& w, int64_t ImageWindow::*member) {
    return {w[0].*member, w[1].*member};
  }

  /// "valid" or "same"; zeros in a layer of their own where it is neither.
  std::string padding(const json& node, const std::vector<ImageWindow>& w, std::string& x) {
    if (w[0].valid() && w[1].valid()) return "valid";
    if (w[0].same() && w[1].same()) return "same";
    x = add(node, "ZeroPadding2D",
            {{"padding", {{w[0].before, w[0].after()}, {w[1].before, w[1].after()}}}, {"data_format", "channels_last"}},
            {x}, {}, "_padding");
    layers_.back().shape = {nullptr, w[0].before + w[0].input + w[0].after(), w[1].before + w[1].input + w[1].after(),
                            this->node(input_of(node, 0)).at("shape").at(3)};
    return "valid";
  }

  std::string convolution(const json& node, std::string x) {
    const std::vector<ImageWindow> w = windows_of(node);
    const bool depthwise = op_of(node) == "depthwise_conv2d";
    const std::string pad = padding(node, w, x);
    json config = {{"kernel_size", pair(w, &ImageWindow::size)},
                   {"strides", pair(w, &ImageWindow::stride)},
                   {"dilation_rate", pair(w, &ImageWindow::dilation)},
                   {"padding", pad},
                   {"data_format", "channels_last"}};
    const json& kernel = this->node(input_of(node, 1)).at("shape");
    if (depthwise) {
      config["depth_multiplier"] = kernel.at(1);
      if (w[0].stride != w[1].stride) refuse_node(node, "Keras's DepthwiseConv2D has equal strides only");
    } else {
      config["filters"] = kernel.at(0);
      config["groups"] = attribute_of<int64_t>(node, "groups");
    }
    if ((w[0].stride > 1 || w[1].stride > 1) && (w[0].dilation > 1 || w[1].dilation > 1))
      refuse_node(node, "Keras's convolutions have strides or dilation, not both");
    config = with_kernel(node, depthwise ? "depthwise" : "kernel", std::move(config));
    // channels x multiplier x h x w, and filters x h x w x channels: to h x w x channels x multiplier or filters.
    std::vector<KerasWeight> weights = {
        weight(node, 1, "kernel", depthwise ? std::vector<size_t>{2, 3, 0, 1} : std::vector<size_t>{1, 2, 3, 0})};
    if (node.at("inputs").size() == 3) weights.push_back(weight(node, 2, "bias", {0}));
    return add(node, depthwise ? "DepthwiseConv2D" : "Conv2D", std::move(config), {x}, std::move(weights));
  }

  std::string dense(const json& node, const std::string& x) {
    json config = {{"units", this->node(input_of(node, 1)).at("shape").at(0)}};
    std::vector<KerasWeight> weights = {weight(node, 1, "kernel", {1, 0})};
    if (node.at("inputs").size() == 3) weights.push_back(weight(node, 2, "bias", {0}));
    return add(node, "Dense", with_kernel(node, "kernel", std::move(config)), {x}, std::move(weights));
  }

  std::string batch_norm(const json& node, const std::string& x) {
    return add(node, "BatchNormalization",
               {{"axis", attribute_of<int64_t>(node, "axis")},
                {"momentum", attribute_of<double>(node, "momentum")},
                {"epsilon", attribute_of<double>(node, "epsilon")},
                {"center", true},
                {"scale", true},
                {"gamma_initializer", initializer(this->node(input_of(node, 1)))},
                {"beta_initializer", initializer(this->node(input_of(node, 2)))}},
               {x},
               {weight(node, 1, "gamma", {0}), weight(node, 2, "beta", {0}), weight(node, 3, "moving_mean", {0}, false),
                weight(node, 4, "moving_variance", {0}, false)});
  }

  std::string pool(const json& node, const char* class_name, const std::string& x, const std::string& suffix = "") {
    const std::vector<ImageWindow> w = windows_of(node);
    const bool valid = w[0].valid() && w[1].valid();
    if (!valid && !(w[0].same() && w[1].same())) refuse_node(node, "Keras's pooling has valid or same padding only");
    return add(node, class_name,
               {{"pool_size", pair(w, &ImageWindow::size)},
                {"strides", pair(w, &ImageWindow::stride)},
                {"padding", valid ? "valid" : "same"},
                {"data_format", "channels_last"}},
               {x}, {}, suffix);
  }

  std::string scaled(const json& node, double scale, double offset, const std::string& x,
                     const std::string& suffix = "") {
    return add(node, "Rescaling", {{"scale", scale}, {"offset", offset}}, {x}, {}, suffix);
  }

  /// Arithmetic of two values: of a value and a number, or of two layers' results.
  std::string binary(const json& node) {
    const std::string name = op_of(node);
    const json &a = this->node(input_of(node, 0)), &b = this->node(input_of(node, 1));
    const bool number_a = op_of(a) == "constant", number_b = op_of(b) == "constant";
    if (number_a != number_b) {
      const double c = attribute_of<double>(number_a ? a : b, "value");
      const std::string x = layer_of(input_of(node, number_a ? 1 : 0));
      if (name == "add") return scaled(node, 1, c, x);
      if (name == "multiply") return scaled(node, c, 0, x);
      if (name == "subtract") return number_b ? scaled(node, 1, -c, x) : scaled(node, -1, c, x);
      if (name == "divide" && number_b && c != 0) return scaled(node, 1 / c, 0, x);
    }
    static const std::map<std::string, const char*> layers = {{"add", "Add"},
                                                              {"subtract", "Subtract"},
                                                              {"multiply", "Multiply"},
                                                              {"maximum", "Maximum"},
                                                              {"minimum", "Minimum"}};
    const auto layer = layers.find(name);
    if (layer == layers.end() || number_a || number_b || a.at("shape") != b.at("shape") || !a.at("shape").is_array() ||
        a.at("shape").empty() || !a.at("shape").at(0).is_null())
      refuse_node(node, "Keras has no layer for this; it has them for two values of one shape with the batch");
    const std::string x = layer_of(input_of(node, 0)), y = layer_of(input_of(node, 1));
    return add(node, layer->second, json::object(), {x, y});
  }

  /// The name of the layer that computes the node.
  std::string layer_of(int id) {
    const auto done = done_.find(id);
    if (done != done_.end()) return done->second;
    const std::string name = make(node(id));
    done_[id] = name;
    return name;
  }

  std::string make(const json& n) {
    const std::string name = op_of(n);
    if (name == "input") {
      if (attribute_of<bool>(n, "integer")) refuse_node(n, "class labels cannot be an input of a Keras model");
      json config = {{"batch_shape", n.at("shape")}, {"sparse", false}, {"ragged", false}};
      const std::string layer = add(n, "InputLayer", std::move(config), {});
      layers_.back().config["name"] = attribute_of<std::string>(n, "name");
      layers_.back().config.erase("trainable");
      return layers_.back().name();
    }
    if (name == "add" || name == "subtract" || name == "multiply" || name == "divide" || name == "maximum" ||
        name == "minimum")
      return binary(n);
    // Of these the inputs behind the first are weights.
    static const std::set<std::string> known = {"conv2d",
                                                "depthwise_conv2d",
                                                "dense",
                                                "batch_norm",
                                                "max_pool",
                                                "average_pool",
                                                "min_pool",
                                                "global_average_pool",
                                                "global_max_pool",
                                                "zero_padding2d",
                                                "dropout",
                                                "alpha_dropout",
                                                "flatten",
                                                "reshape",
                                                "transpose",
                                                "concatenate",
                                                "relu",
                                                "leaky_relu",
                                                "elu",
                                                "selu",
                                                "gelu",
                                                "sigmoid",
                                                "tanh",
                                                "softplus",
                                                "exp",
                                                "softmax",
                                                "log_softmax",
                                                "negate"};
    if (!known.contains(name)) refuse_node(n, "Keras has no layer for this");
    if (name == "concatenate") {
      std::vector<std::string> inputs;
      for (size_t i = 0; i < n.at("inputs").size(); ++i) inputs.push_back(layer_of(input_of(n, i)));
      return add(n, "Concatenate", {{"axis", attribute_of<int64_t>(n, "axis")}}, inputs);
    }
    const std::string x = layer_of(input_of(n, 0));
    if (name == "conv2d" || name == "depthwise_conv2d") return convolution(n, x);
    if (name == "dense") return dense(n, x);
    if (name == "batch_norm") return batch_norm(n, x);
    if (name == "max_pool") return pool(n, "MaxPooling2D", x);
    if (name == "average_pool") return pool(n, "AveragePooling2D", x);
    if (name == "min_pool") {  // Keras has none: -max(-x)
      const std::string negated = scaled(n, -1, 0, x, "_negated");
      layers_.back().shape = node(input_of(n, 0)).at("shape");
      return scaled(n, -1, 0, pool(n, "MaxPooling2D", negated, "_max"));
    }
    if (name == "global_average_pool") return add(n, "GlobalAveragePooling2D", global(), {x});
    if (name == "global_max_pool") return add(n, "GlobalMaxPooling2D", global(), {x});
    if (name == "zero_padding2d") {
      const auto p = attribute_of<std::vector<int64_t>>(n, "padding");
      return add(n, "ZeroPadding2D",
                 {{"padding", {{p.at(0), p.at(1)}, {p.at(2), p.at(3)}}}, {"data_format", "channels_last"}}, {x});
    }
    if (name == "dropout") return add(n, "Dropout", rate(n), {x});
    if (name == "alpha_dropout") return add(n, "AlphaDropout", rate(n), {x});
    if (name == "flatten") return add(n, "Flatten", {{"data_format", "channels_last"}}, {x});
    if (name == "reshape") {
      json target = n.at("shape");
      if (target.empty() || !target.at(0).is_null()) refuse_node(n, "Keras's Reshape keeps the batch");
      target.erase(0);
      return add(n, "Reshape", {{"target_shape", target}}, {x});
    }
    if (name == "transpose") {
      json dims = n.at("attributes").at("axes");
      if (!dims.is_array() || dims.empty() || dims.at(0) != 0) refuse_node(n, "Keras's Permute keeps the batch first");
      dims.erase(0);
      return add(n, "Permute", {{"dims", dims}}, {x});
    }
    if (name == "relu") return add(n, "ReLU", json::object(), {x});
    if (name == "leaky_relu")
      return add(n, "LeakyReLU", {{"negative_slope", attribute_of<double>(n, "negative_slope")}}, {x});
    if (name == "elu") return add(n, "ELU", {{"alpha", attribute_of<double>(n, "alpha")}}, {x});
    if (name == "softmax") return add(n, "Softmax", {{"axis", -1}}, {x});
    if (name == "negate") return scaled(n, -1, 0, x);
    if (name == "gelu" && attribute_of<bool>(n, "approximate"))
      refuse_node(n, "Keras has no layer for the approximation by tanh");
    return add(n, "Activation", {{"activation", name == "exp" ? "exponential" : name}}, {x});
  }

  static json global() { return {{"data_format", "channels_last"}, {"keepdims", false}}; }
  static json rate(const json& node) {
    return {{"rate", attribute_of<double>(node, "rate")}, {"seed", nullptr}, {"noise_shape", nullptr}};
  }

  /// The order of keras/src/ops/function.py, map_graph: by distance from the outputs, those of one distance as a
  /// depth-first search from the outputs meets them. Keras assigns weights and optimizer state by it.
  void sort_as_keras(const std::vector<std::string>& outputs) {
    std::map<std::string, size_t> index, met, depth;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (!index.emplace(layers_[i].name(), i).second)
        throw UsageError(fmt::format("{}: the name '{}' stands for two layers; Keras wants different ones",
                                     layers_[i].place, layers_[i].name()));
    }
    std::vector<std::string> finished;
    std::set<std::string> seen;
    const std::function<void(const std::string&)> visit = [&](const std::string& name) {
      if (!seen.insert(name).second) return;
      met.emplace(name, met.size());
      for (const std::string& input : layers_.at(index.at(name)).inputs) visit(input);
      finished.push_back(name);
    };
    for (const std::string& output : outputs) visit(output);
    for (auto name = finished.rbegin(); name != finished.rend(); ++name) {
      const size_t here = depth[*name];
      for (const std::string& input : layers_.at(index.at(*name)).inputs)
        depth[input] = std::max(depth[input], here + 1);
    }
    std::stable_sort(layers_.begin(), layers_.end(), [&](const KerasLayer& a, const KerasLayer& b) {
      const size_t da = depth[a.name()], db = depth[b.name()];
      return da != db ? da > db : met[a.name()] < met[b.name()];
    });
  }

  json compile() const {
    const json& loss = node(structure_.description().at("loss").get<int>());
    const std::string name = op_of(loss);
    if (outputs_.size() != 1)
      refuse_node(loss, "a Keras model of several outputs has a loss for each; export takes one");
    const auto of_output = [&](const json& n, const char* what) {
      if (input_of(n, 0) != outputs_[0])
        refuse_node(n, fmt::format("Keras computes a {} from the model's output, which this is not of", what));
    };
    json config = {{"reduction", "sum_over_batch_size"}, {"name", name}};
    const char* loss_class = name == "binary_cross_entropy"        ? "BinaryCrossentropy"
                             : name == "categorical_cross_entropy" ? "CategoricalCrossentropy"
                             : name == "mean_squared_error"        ? "MeanSquaredError"
                                                                   : nullptr;
    if (loss_class == nullptr)
      refuse_node(loss, "Keras has no such loss; it has the cross-entropies and mean_squared_error");
    of_output(loss, "loss");
    if (name != "mean_squared_error") {
      config["from_logits"] = attribute_of<bool>(loss, "from_logits");
      config["label_smoothing"] = attribute_of<double>(loss, "label_smoothing");
    }
    json metrics = json::array();
    for (const json& metric : structure_.description().at("metrics")) {
      const json& n = node(metric.at("node").get<int>());
      json of_metric = {{"name", metric.at("name")}, {"dtype", "float32"}};
      const char* metric_class = op_of(n) == "categorical_accuracy" ? "CategoricalAccuracy"
                                 : op_of(n) == "binary_accuracy"    ? "BinaryAccuracy"
                                 : op_of(n) == "mean_squared_error" ? "MeanSquaredError"
                                                                    : nullptr;
      if (metric_class == nullptr)
        refuse_node(n, "Keras has no such metric; it has categorical_accuracy and binary_accuracy");
      of_output(n, "metric");
      if (op_of(n) == "binary_accuracy") of_metric["threshold"] = attribute_of<double>(n, "threshold");
      metrics.push_back(object("keras.metrics", metric_class, of_metric));
    }
    return {{"loss", object("keras.losses", loss_class, config)},
            {"loss_weights", nullptr},
            {"metrics", metrics},
            {"weighted_metrics", nullptr},
            {"run_eagerly", false},
            {"steps_per_execution", 1},
            {"jit_compile", false}};
  }

  json optimizer() const {
    const json& ours = structure_.description().at("optimizer");
    const std::string name = ours.at("name").get<std::string>();
    const char* keras = name == "rmsprop" ? "RMSprop" : name == "sgd" ? "SGD" : name == "adam" ? "Adam" : nullptr;
    if (keras == nullptr) throw UsageError(fmt::format("Keras's optimizer for '{}' is not known", name));
    json config = ours.at("constants");
    config["name"] = name;
    config["learning_rate"] = ours.at("learning_rate");
    const auto unless_zero = [&](const char* theirs, const json& value) {
      config[theirs] = value.get<double>() == 0 ? json() : value;
    };
    unless_zero("clipvalue", ours.at("clip_value"));
    unless_zero("clipnorm", ours.at("clip_norm"));
    unless_zero("global_clipnorm", ours.at("global_clip_norm"));
    unless_zero("weight_decay", config.value("weight_decay", json(0.0)));
    if (name == "rmsprop") config["centered"] = false;
    if (name == "adam") config["amsgrad"] = false;
    return {{"module", "keras.optimizers"}, {"class_name", keras}, {"config", config}, {"registered_name", nullptr}};
  }

  const Structure structure_;
  std::map<int, double> l2_;
  std::map<int, std::string> done_;
  std::set<int> used_;
  std::vector<int> outputs_;
  std::vector<KerasLayer> layers_;
};

}  // namespace

KerasNetwork keras_network(const json& structure) {
  try {
    return Builder(structure).build();
  } catch (const json::exception& error) {
    throw DataError(fmt::format("the description of its graph is not what it should be ({})", error.what()));
  }
}

}  // namespace kiln
