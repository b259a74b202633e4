// Keras's older format. Facts: keras/src/legacy/saving/legacy_h5_format.py.
#include <fmt/format.h>

#include <algorithm>

#include "error.h"
#include "hdf5_group.h"
#include "keras_files.h"

namespace kiln {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& origin, const std::string& message) {
  throw DataError(origin + ": " + message);
}

json parse(const std::string& text, const char* what, const std::string& origin) {
  json result = json::parse(text, nullptr, false);
  if (result.is_discarded() || !result.is_object()) refuse(origin, fmt::format("its {} is no JSON object", what));
  return result;
}

/// An attribute of names, which may be split.
std::vector<std::string> names(const Hdf5Group& group, const std::string& attribute) {
  const auto whole = group.names.find(attribute);
  if (whole != group.names.end()) return whole->second;
  std::vector<std::string> result;
  for (int i = 0;; ++i) {
    const auto piece = group.names.find(attribute + std::to_string(i));
    if (piece == group.names.end()) return result;
    result.insert(result.end(), piece->second.begin(), piece->second.end());
  }
}

std::vector<NamedArray> named_arrays(const Hdf5Group& group, const std::string& origin) {
  std::vector<NamedArray> result;
  for (const std::string& name : names(group, "weight_names")) {
    const Array* array = group.find_array(name);
    if (array == nullptr) refuse(origin, fmt::format("lacks the array '{}' that it names", name));
    result.push_back({name, *array});
  }
  return result;
}

}  // namespace

std::string write_h5(const KerasModel& model) {
  Hdf5Group root;
  root.texts["keras_version"] = kKerasVersion;
  root.texts["backend"] = "jax";
  root.texts["model_config"] = model.model.dump();
  Hdf5Group& all = root.groups["model_weights"];
  all.texts["keras_version"] = kKerasVersion;
  all.texts["backend"] = "jax";
  for (const KerasLayerName& layer : layer_names(model, "the model")) {
    all.names["layer_names"].push_back(layer.name);
    Hdf5Group& group = all.groups[layer.name];
    std::vector<std::string>& weight_names = group.names["weight_names"];
    const auto weights = model.weights.find(layer.name);
    if (weights == model.weights.end()) continue;
    for (const NamedArray& weight : weights->second) {
      weight_names.push_back(layer.name + "/" + weight.name);
      group.at_path(layer.name).arrays[weight.name] = weight.array;
    }
  }
  all.groups["top_level_model_weights"].names["weight_names"] = {};
  if (!model.optimizer.is_null()) {
    json training = model.compile;
    training["optimizer_config"] = model.optimizer;
    root.texts["training_config"] = training.dump();
  }
  if (!model.optimizer_variables.empty()) {
    Hdf5Group& group = root.groups["optimizer_weights"];
    const std::string prefix = model.optimizer.at("config").at("name").get<std::string>();
    for (const NamedArray& variable : model.optimizer_variables) {
      group.names["weight_names"].push_back(prefix + "/" + variable.name);
      group.at_path(prefix).arrays[variable.name] = variable.array;
    }
  }
  return write_hdf5(root);
}

KerasModel read_h5(const std::string& bytes, const std::string& origin) {
  const Hdf5Group root = read_hdf5(bytes, origin);
  const auto config = root.texts.find("model_config");
  if (config == root.texts.end())
    refuse(origin, "has no model_config: it is no whole Keras model (weights alone say nothing of their network)");
  KerasModel model;
  model.model = parse(config->second, "model_config", origin);
  if (const auto training = root.texts.find("training_config"); training != root.texts.end()) {
    model.compile = parse(training->second, "training_config", origin);
    model.optimizer = model.compile.value("optimizer_config", json());
  }
  const auto weights = root.groups.find("model_weights");
  if (weights == root.groups.end()) refuse(origin, "has no model_weights");
  for (const std::string& name : names(weights->second, "layer_names")) {
    const Hdf5Group* group = weights->second.find_group(name);
    if (group == nullptr) refuse(origin, fmt::format("lacks the layer '{}' that it names", name));
    std::vector<NamedArray> arrays = named_arrays(*group, origin);
    if (!arrays.empty()) model.weights[name] = std::move(arrays);
  }
  if (const auto group = root.groups.find("optimizer_weights"); group != root.groups.end())
    model.optimizer_variables = named_arrays(group->second, origin);
  return model;
}

}  // namespace kiln
