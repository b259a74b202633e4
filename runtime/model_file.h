#pragma once

#include <string>

#include "checkpoint.h"

namespace kiln {

/// Whether a file of this name is another tool's, by its ending: .h5, .hdf5, .keras, .safetensors, .onnx.
bool is_foreign(const std::string& path);

/// Throws UsageError where the path that a flag names ends as no format of models does.
void require_model_ending(const char* flag, const std::string& path);

/// A saved model or state in Kiln's format or another tool's, which kiln_convert translates: a process of its own with
/// limits, so that no file can harm this one. Of another tool's file, `progress` has "steps" (done by the optimizer),
/// "learning_rate" and "notes" (texts) where they are known. Throws DataError, or Failure where there is no converter.
Checkpoint load_model_file(const std::string& path, const kiln_model& model);

/// Writes the format that the path's ending says; throws UsageError where that tool cannot express the graph, Failure.
void save_model_file(FileSystem& files, const std::string& path, const kiln_model& model, const Checkpoint& checkpoint);

}  // namespace kiln
