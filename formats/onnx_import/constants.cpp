#include <fmt/format.h>

#include <algorithm>

#include "onnx_import/rules.h"

namespace kiln::from_onnx {
namespace {

constexpr int64_t kMostConstants = 1 << 16;

}  // namespace

Value constant(Importer& importer, Call& call) {
  const std::string output = call.node.output_size() > 0 ? call.node.output(0) : "";
  onnx::TensorProto tensor;
  if (const auto* value = call.find("value", onnx::AttributeProto::TENSOR)) {
    tensor = value->t();
  } else if (const auto* real = call.find("value_float", onnx::AttributeProto::FLOAT)) {
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_float_data(real->f());
  } else if (const auto* reals = call.find("value_floats", onnx::AttributeProto::FLOATS)) {
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.mutable_float_data()->CopyFrom(reals->floats());
    tensor.add_dims(reals->floats_size());
  } else if (const auto* integer = call.find("value_int", onnx::AttributeProto::INT)) {
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_int64_data(integer->i());
  } else if (const auto* integers = call.find("value_ints", onnx::AttributeProto::INTS)) {
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.mutable_int64_data()->CopyFrom(integers->ints());
    tensor.add_dims(integers->ints_size());
  } else {
    call.refuse("holds no tensor of numbers");
  }
  tensor.set_name(output);
  return importer.known(tensor, false);
}

Value constant_of_shape(Importer& importer, Call& call) {
  const Ints shape = call.known_integers(0, "shape");
  int64_t count = 1;
  for (const int64_t extent : shape) {
    if (extent < 0 || extent > kMostConstants || (count *= extent) > kMostConstants)
      call.refuse(fmt::format("makes a constant of {}, Kiln has up to {} elements", text(shape), kMostConstants));
  }
  onnx::TensorProto one;
  one.set_data_type(onnx::TensorProto::FLOAT);
  one.add_float_data(0);
  if (const auto* value = call.find("value", onnx::AttributeProto::TENSOR)) one = value->t();
  Value result = importer.known(one, false);
  if (result.integers) {
    if (result.integers->size() != 1) call.refuse("its value is no single number");
    result.integers = Ints(static_cast<size_t>(count), result.integers->at(0));
  } else {
    if (result.numbers->values.size() != 1) call.refuse("its value is no single number");
    result.numbers = std::make_shared<Array>(
        Array{shape, std::vector<float>(static_cast<size_t>(count), result.numbers->values[0])});
  }
  result.shape = shape;
  return result;
}

Value cast(Importer&, Call& call) {
  const int64_t to = call.integer("to", 0);
  call.integer("saturate", 1);
  const Value& x = call[0];
  const bool real = to == onnx::TensorProto::FLOAT || to == onnx::TensorProto::DOUBLE ||
                    to == onnx::TensorProto::FLOAT16 || to == onnx::TensorProto::BFLOAT16;
  const bool integer = to == onnx::TensorProto::INT64 || to == onnx::TensorProto::INT32;
  if (x.integers ? !integer : !real || x.positive) call.refuse("turns real numbers into others or back");
  return x;
}

Value shape(Importer&, Call& call) {
  const Value& x = call[0];
  const auto rank = static_cast<int64_t>(x.rank());
  const auto inside = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t start = inside(std::clamp<int64_t>(call.integer("start", 0), -rank, rank)),
                end = inside(std::clamp<int64_t>(call.integer("end", rank), -rank, rank));
  Ints extents;
  for (int64_t d = start; d < end; ++d) {
    const int64_t extent = x.shape[static_cast<size_t>(d)];
    extents.push_back(extent == kBatchExtent ? kBatchSymbol : extent);
  }
  return integers_of(extents);
}

Value gather(Importer&, Call& call) {
  const Ints& from = call.known_integers(0, "input");
  const Value& index = call[1];
  if (call[0].rank() != 1 || !index.integers || index.rank() > 1) call.refuse("Kiln has it for shapes only");
  call.axis(call.integer("axis", 0), 1);
  Ints result;
  for (const int64_t at : *index.integers) result.push_back(from[call.axis(at, from.size())]);
  Value value = integers_of(result);
  value.shape = index.shape;
  return value;
}

}  // namespace kiln::from_onnx
