#include "onnx_import/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "network.h"

namespace kiln::from_onnx {

Call::Call(const onnx::NodeProto& node, const std::string& origin, int64_t operator_set)
    : node(node), operator_set(operator_set), origin_(origin) {
  for (const onnx::AttributeProto& attribute : node.attribute()) unread_.insert(attribute.name());
}

void Call::refuse(const std::string& message) const {
  throw DataError(fmt::format("{}: node '{}' ({}): {}", origin_,
                              printable(!node.name().empty()     ? node.name()
                                        : node.output_size() > 0 ? node.output(0)
                                                                 : ""),
                              printable(node.op_type()), message));
}

void Call::require_all_read() const {
  if (!unread_.empty()) refuse(fmt::format("Kiln knows no attribute {} of it", printable(*unread_.begin())));
  if (node.input_size() > static_cast<int>(used_inputs_))
    refuse(fmt::format("has {} inputs, Kiln knows {}", node.input_size(), used_inputs_));
}

int64_t Call::integer(const char* name, int64_t otherwise) {
  const auto* a = find(name, onnx::AttributeProto::INT);
  return a == nullptr ? otherwise : a->i();
}

double Call::real(const char* name, double otherwise) {
  const auto* a = find(name, onnx::AttributeProto::FLOAT);
  if (a != nullptr && !std::isfinite(a->f())) refuse(fmt::format("attribute {} is infinite or not a number", name));
  return a == nullptr ? otherwise : as_written(a->f());
}

std::string Call::text(const char* name, const std::string& otherwise) {
  const auto* a = find(name, onnx::AttributeProto::STRING);
  return a == nullptr ? otherwise : a->s();
}

std::optional<Ints> Call::integers(const char* name) {
  const auto* a = find(name, onnx::AttributeProto::INTS);
  if (a == nullptr) return std::nullopt;
  return Ints(a->ints().begin(), a->ints().end());
}

const onnx::AttributeProto* Call::find(const std::string& name, onnx::AttributeProto::AttributeType type) {
  unread_.erase(name);
  for (const onnx::AttributeProto& a : node.attribute()) {
    if (a.name() != name) continue;
    if (a.type() != type || !a.ref_attr_name().empty())
      refuse(fmt::format("attribute {} has another type than ONNX says", name));
    return &a;
  }
  return nullptr;
}

void Call::require(const char* name, int64_t value) {
  const int64_t found = integer(name, value);
  if (found != value) refuse(fmt::format("attribute {} is {}, Kiln has {}", name, found, value));
}

const Value& Call::operator[](size_t i) {
  used_inputs_ = std::max(used_inputs_, i + 1);
  if (!has(i)) refuse(fmt::format("lacks input {}", i));
  return *inputs[i];
}

bool Call::optional(size_t i) {
  used_inputs_ = std::max(used_inputs_, i + 1);
  return has(i);
}

const Value& Call::tensor_input(size_t i) {
  const Value& value = (*this)[i];
  if (!value.is_tensor() || value.positive)
    refuse(fmt::format("input {} is a constant, where Kiln takes a computed value", i));
  return value;
}

const Value& Call::activation() {
  const Value& x = tensor_input(0);
  if (!x.batched() || x.rank() < 2) refuse(fmt::format("its input is {}, without a batch", from_onnx::text(x.shape)));
  return x;
}

const Array& Call::numbers(size_t i, const char* what) {
  const Value& value = (*this)[i];
  if (!value.numbers) refuse(fmt::format("its {} is computed; Kiln takes a constant", what));
  return *value.numbers;
}

Array Call::vector(size_t i, const char* what, int64_t count) {
  Array array = numbers(i, what);
  if (static_cast<int64_t>(array.values.size()) != count)
    refuse(fmt::format("its {} has {} numbers, expected {}", what, array.values.size(), count));
  array.shape = {count};
  return array;
}

const Ints& Call::known_integers(size_t i, const char* what) {
  const Value& value = (*this)[i];
  if (!value.integers) refuse(fmt::format("its {} is computed; Kiln takes a constant", what));
  return *value.integers;
}

std::optional<Ints> Call::axes(size_t i) {
  if (std::optional<Ints> attribute = integers("axes")) return attribute;
  if (!optional(i)) return std::nullopt;
  return known_integers(i, "axes");
}

size_t Call::axis(int64_t given, size_t rank) const {
  const int64_t axis = given < 0 ? given + static_cast<int64_t>(rank) : given;
  if (axis < 0 || axis >= static_cast<int64_t>(rank))
    refuse(fmt::format("axis {} is not one of {} dimensions", given, rank));
  return static_cast<size_t>(axis);
}

}  // namespace kiln::from_onnx
