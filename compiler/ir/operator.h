#pragma once

#include <fmt/format.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ir/attribute.h"
#include "ir/error.h"
#include "ir/location.h"
#include "ir/type.h"

namespace kiln {

class Graph;
class Tensor;
struct Operator;
struct Definition;  // ops/definition.h: needs Halide, which graph files must not include

/// What an operator's rules see of one use of it.
struct Call {
  const Operator& op;
  std::vector<Type> inputs;
  const Attributes& attributes;
  Location location;

  const Shape& shape(size_t input) const { return inputs.at(input).shape; }
  template <class T>
  const T& attribute(const char* name) const {
    return std::get<T>(attributes.at(name));
  }
  /// Throws the UserError "file:line: operator: message".
  [[noreturn]] void fail(const std::string& message) const;
};

/// One use of a composite operator that is to be written in simpler ones.
struct ExpandCall {
  Graph& graph;
  const std::vector<Tensor>& inputs;
  const Attributes& attributes;
  const Type& type;
  bool training;  // dropout and batch statistics exist only in training
};

/// One use of a primitive operator on the way back.
struct GradientCall {
  Graph& graph;
  const std::vector<Tensor>& inputs;
  Tensor& output;
  const Attributes& attributes;
  Tensor& cotangent;  // of the output, in its shape
};

/// A use of an operator for its tests: gradient check, schedule check, documentation.
struct Sample {
  std::vector<Shape> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> build;
  double low = -1, high = 1;  // the inputs' values; a range free of kinks where the operator has some
};

/// Everything Kiln knows about one operator; `compiler/ops/<name>.cpp` holds it, and nothing else lists operators.
/// An operator is either primitive (it has `define`) or composite (it has `expand`).
struct Operator {
  const char* name;
  /// Markdown: what it computes, shapes, and the source of the definition (Keras, ONNX, a paper).
  const char* documentation;
  /// The shape rule; throws through Call::fail.
  Type (*type)(const Call&);
  /// Halide definition of a primitive operator.
  Definition (*define)(const Call&) = nullptr;
  /// The operator in terms of others, for a composite one.
  Tensor (*expand)(const ExpandCall&) = nullptr;
  /// Cotangents of the inputs, written in the DSL; an empty Tensor where there is none (labels, masks).
  /// Absent: the operator is constant with respect to its inputs.
  std::vector<Tensor> (*gradient)(const GradientCall&) = nullptr;
  std::vector<Sample> (*samples)() = nullptr;
  /// Name of the layer in summaries; null for operators that are no layer of their own.
  const char* layer = nullptr;
};

/// All operators, in alphabetical order; the table is generated from the files of `compiler/ops/`.
std::span<const Operator* const> all_operators();

}  // namespace kiln
