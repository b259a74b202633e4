#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "array.h"
#include "checkpoint.h"

namespace kiln {

/// What a Keras file holds, whichever of Keras's two formats it has.
struct KerasModel {
  nlohmann::json model;                // class_name and config: {"class_name": "Functional", "config": {...}}
  nlohmann::json compile = nullptr;    // loss, metrics; null where it was not compiled
  nlohmann::json optimizer = nullptr;  // class_name and config, or null
  /// Of the layers that have some, by name: trainable ones first, in the order in which Keras makes them.
  std::map<std::string, std::vector<NamedArray>> weights;
  /// iteration, learning_rate and the optimizer's own; empty where it has none.
  std::vector<NamedArray> optimizer_variables;
};

/// Names and classes of a model's layers, in its own order.
struct KerasLayerName {
  std::string name, class_name;
};
std::vector<KerasLayerName> layer_names(const KerasModel& model, const std::string& origin);

/// A trained model as Keras has it: weights (the average's where there is one), structure, loss, metrics, optimizer and
/// its state. Throws UsageError "file:line: ..." for what Keras cannot express, DataError for a file without structure.
KerasModel to_keras(const KilnFile& file, const std::string& origin);

/// The weights of a Keras model in a file of the network `like`, whose structure must be the same, layer by layer:
/// fused activations, names and the kind of model (Sequential, Functional) may differ. `progress` gets "steps",
/// "learning_rate" and "notes". Throws DataError naming layer and graph line where they are not the same network.
KilnFile from_keras(const KerasModel& model, const KilnFile& like, const std::string& origin);

}  // namespace kiln
