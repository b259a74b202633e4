#pragma once

#include <fmt/format.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ir/attribute.h"
#include "ir/choices.h"
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

/// A random valid use of an operator, on which its tests run. The build shall make one use; it may call other operators
/// on the way to its inputs.
struct Sample {
  /// Those with the batch become inputs of the graph, the others parameters.
  std::vector<Type> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> build;
  double low = -1, high = 1;  // real inputs' values
  int64_t classes = 2;        // int32 inputs hold 0 to classes - 1
  /// Where the operator has no derivative: at these values of an input, and where two elements are equal.
  std::vector<double> kinks = {};
  bool distinct = false;
  /// Some gradient is zero everywhere, by nature of these shapes or attributes: softmax over one class.
  bool flat = false;
  /// False: the operator depends on its inputs but has no gradient, on purpose.
  bool differentiable = true;
  int64_t least_rows = 1;  // with data that it is defined for: two for a variance
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
  /// Makes a random use of it.
  Sample (*sample)(Choices&) = nullptr;
  /// Name of the layer in summaries; null for operators that are no layer of their own.
  const char* layer = nullptr;
};

/// All operators, in alphabetical order; the table is generated from the files of `compiler/ops/`.
std::span<const Operator* const> all_operators();

}  // namespace kiln
