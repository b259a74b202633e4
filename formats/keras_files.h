#pragma once

#include <string>

#include "keras_model.h"

namespace kiln {

/// Keras's older format, one HDF5 file: attributes model_config and training_config, groups model_weights and
/// optimizer_weights.
std::string write_h5(const KerasModel& model);
KerasModel read_h5(const std::string& bytes, const std::string& origin);

/// Keras 3's own format, a zip of config.json, metadata.json and model.weights.h5.
std::string write_keras(const KerasModel& model);
KerasModel read_keras(const std::string& bytes, const std::string& origin);

/// The version of Keras whose formats are written.
inline constexpr const char* kKerasVersion = "3.15.1";

}  // namespace kiln
