#pragma once

#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include "array.h"

namespace kiln {

/// The bytes of an ONNX file as a message; throws DataError. `origin` is the file's name in errors.
onnx::ModelProto parse_onnx(const std::string& bytes, const std::string& origin);

/// The file of a model; the same model gives the same bytes.
std::string onnx_bytes(const onnx::ModelProto& model);

/// The tensor's values as f32. Throws DataError for values in other files, for counts that are not those of the shape,
/// for types that are no real numbers, and for values that are infinite or not a number.
Array real_values(const onnx::TensorProto& tensor, const std::string& origin);

/// The values of a tensor of integers or truth values.
std::vector<int64_t> integer_values(const onnx::TensorProto& tensor, const std::string& origin);
bool holds_integers(const onnx::TensorProto& tensor);

}  // namespace kiln
