#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace kiln {

/// How a parameter of Kiln's becomes a weight of Keras's: the same dimensions in another order.
struct KerasWeight {
  std::string name;            // Keras's: "kernel"
  std::string parameter;       // Kiln's: "conv2d_1/kernel"
  std::vector<int64_t> shape;  // Kiln's
  std::vector<size_t> order;   // Keras's dimension d is Kiln's order[d]
  bool trainable = true;
};

/// A layer as Keras's functional models have it.
struct KerasLayer {
  std::string class_name;  // "Conv2D"
  nlohmann::json config;   // with "name"
  std::vector<std::string> inputs;
  std::vector<KerasWeight> weights;
  nlohmann::json shape;  // of its output; null for the batch
  std::string place;     // "graphs/digits.cpp:14"

  std::string name() const { return config.at("name").get<std::string>(); }
};

/// A network as Keras's functional models have it, its layers in the order in which Keras itself will have them.
struct KerasNetwork {
  std::string name;
  std::vector<KerasLayer> layers;
  std::vector<std::string> inputs, outputs;  // names of layers
  nlohmann::json compile = nullptr;          // loss and metrics; null: not trained
  nlohmann::json optimizer = nullptr;        // class_name and config
};

/// Kiln's graph (compiler/driver/structure.h) in Keras's layers. Throws UsageError "file:line: ..." for what Keras has
/// no layer, loss or metric for.
KerasNetwork keras_network(const nlohmann::json& structure);

}  // namespace kiln
