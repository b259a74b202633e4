#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "onnx_file.h"
#include "onnx_import/value.h"

namespace kiln::from_onnx {

/// A node of the file while it is read: whatever of it nobody asks for is an error.
class Call {
 public:
  Call(const onnx::NodeProto& node, const std::string& origin, int64_t operator_set);

  [[noreturn]] void refuse(const std::string& message) const;
  void require_all_read() const;

  // Attributes.
  int64_t integer(const char* name, int64_t otherwise);
  double real(const char* name, double otherwise);
  std::string text(const char* name, const std::string& otherwise);
  std::optional<Ints> integers(const char* name);
  /// An attribute of the type that ONNX gives it, or null.
  const onnx::AttributeProto* find(const std::string& name, onnx::AttributeProto::AttributeType type);
  /// An attribute that may have one value only.
  void require(const char* name, int64_t value);

  // Inputs.
  const Value& operator[](size_t i);
  /// Whether there is an input that need not be.
  bool optional(size_t i);
  const Value& tensor_input(size_t i);
  /// The first input, which has a batch and something in each row.
  const Value& activation();
  const Array& numbers(size_t i, const char* what);
  /// So many numbers, in one dimension.
  Array vector(size_t i, const char* what, int64_t count);
  const Ints& known_integers(size_t i, const char* what);
  /// Axes given by an attribute or, in later versions, an input.
  std::optional<Ints> axes(size_t i);

  /// An axis of a value of that rank, counted from its end where it is negative.
  size_t axis(int64_t given, size_t rank) const;

  const onnx::NodeProto& node;
  const int64_t operator_set;
  std::vector<const Value*> inputs;

 private:
  bool has(size_t i) const { return inputs.size() > i && inputs[i] != nullptr; }

  const std::string& origin_;
  std::set<std::string> unread_;
  size_t used_inputs_ = 0;
};

}  // namespace kiln::from_onnx
