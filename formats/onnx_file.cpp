#include "onnx_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.h"
#include "half.h"
#include "network.h"

namespace kiln {
namespace {

using onnx::TensorProto;

[[noreturn]] void refuse(const TensorProto& tensor, const std::string& origin, const std::string& message) {
  throw DataError(fmt::format("{}: tensor '{}' {}", origin, printable(tensor.name()), message));
}

std::vector<int64_t> shape_of(const TensorProto& tensor, const std::string& origin) {
  int64_t room = int64_t{1} << 31;
  for (const int64_t extent : tensor.dims()) {
    if (extent < 0 || extent > room)
      refuse(tensor, origin, fmt::format("has no possible shape: {}", fmt::join(tensor.dims(), "x")));
    room /= std::max<int64_t>(extent, 1);
  }
  return {tensor.dims().begin(), tensor.dims().end()};
}

/// Little-endian values, as raw_data has them.
template <class T>
std::vector<T> raw_values(const TensorProto& tensor, const std::string& origin) {
  const std::string& bytes = tensor.raw_data();
  if (bytes.size() % sizeof(T) != 0) refuse(tensor, origin, fmt::format("has {} bytes", bytes.size()));
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

/// The values wherever the file has them, each as `convert` makes it of the stored type.
template <class Stored, class Result, class Field, class Convert>
std::vector<Result> values_of(const TensorProto& tensor, const std::string& origin, const Field& field,
                              Convert convert) {
  std::vector<Result> result;
  if (tensor.has_raw_data()) {
    for (const Stored value : raw_values<Stored>(tensor, origin)) result.push_back(convert(value));
  } else {
    for (const auto value : field) result.push_back(convert(static_cast<Stored>(value)));
  }
  const int64_t expected = element_count(shape_of(tensor, origin));
  if (static_cast<int64_t>(result.size()) != expected)
    refuse(tensor, origin, fmt::format("has {} values, its shape {}", result.size(), expected));
  return result;
}

void require_here(const TensorProto& tensor, const std::string& origin) {
  if (tensor.data_location() == TensorProto::EXTERNAL || tensor.external_data_size() > 0)
    refuse(tensor, origin, "lies in another file, which is not read; save the model with its data inside");
  if (tensor.has_segment()) refuse(tensor, origin, "is one part of a tensor, which is not read");
}

}  // namespace

onnx::ModelProto parse_onnx(const std::string& bytes, const std::string& origin) {
  onnx::ModelProto model;
  // protobuf reports to standard error what the exception says.
  google::protobuf::LogSilencer silent;
  if (bytes.size() > INT32_MAX || !model.ParseFromString(bytes) || !model.has_graph() || model.opset_import_size() == 0)
    throw DataError(origin + ": is no ONNX model, or a damaged one");
  return model;
}

std::string onnx_bytes(const onnx::ModelProto& model) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  if (!model.SerializeToCodedStream(&coded)) throw Failure("an ONNX model may have 2 GiB");
  coded.Trim();
  return bytes;
}

Array real_values(const TensorProto& tensor, const std::string& origin) {
  require_here(tensor, origin);
  Array array{shape_of(tensor, origin), {}};
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
      array.values = values_of<float, float>(tensor, origin, tensor.float_data(), [](float v) { return v; });
      break;
    case TensorProto::DOUBLE:
      array.values = values_of<double, float>(tensor, origin, tensor.double_data(),
                                              [](double v) { return static_cast<float>(v); });
      break;
    case TensorProto::FLOAT16:
      array.values = values_of<uint16_t, float>(tensor, origin, tensor.int32_data(), from_half);
      break;
    case TensorProto::BFLOAT16:
      array.values = values_of<uint16_t, float>(tensor, origin, tensor.int32_data(), from_bf16);
      break;
    default:
      refuse(tensor, origin, "does not hold real numbers");
  }
  if (!std::all_of(array.values.begin(), array.values.end(), [](float v) { return std::isfinite(v); }))
    refuse(tensor, origin, "has a value that is infinite or not a number");
  return array;
}

bool holds_integers(const TensorProto& tensor) {
  const auto type = tensor.data_type();
  return type == TensorProto::INT64 || type == TensorProto::INT32 || type == TensorProto::BOOL;
}

std::vector<int64_t> integer_values(const TensorProto& tensor, const std::string& origin) {
  require_here(tensor, origin);
  const auto same = [](auto v) { return static_cast<int64_t>(v); };
  switch (tensor.data_type()) {
    case TensorProto::INT64:
      return values_of<int64_t, int64_t>(tensor, origin, tensor.int64_data(), same);
    case TensorProto::INT32:
      return values_of<int32_t, int64_t>(tensor, origin, tensor.int32_data(), same);
    case TensorProto::BOOL:
      return values_of<uint8_t, int64_t>(tensor, origin, tensor.int32_data(), same);
    default:
      refuse(tensor, origin, "does not hold integers");
  }
}

}  // namespace kiln
