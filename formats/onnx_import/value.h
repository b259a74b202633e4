#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "array.h"
#include "structure.h"

namespace kiln::from_onnx {

using Ints = std::vector<int64_t>;
using Order = std::vector<size_t>;

/// In shape arithmetic: the number of rows, which is not known.
constexpr int64_t kBatchSymbol = std::numeric_limits<int64_t>::min();
constexpr int64_t kMost = 1 << 24;  // of a window's size, stride, dilation or padding

/// What a name of ONNX's stands for: a tensor in the graph, known real numbers, or integers of shape arithmetic.
///
/// Of a tensor, dimension d is dimension order[d] of the graph's node: a Transpose costs nothing, images come to be in
/// Kiln's layout where a convolution first wants them so, and stay in it until something depends on their order.
struct Value {
  Ints shape;  // as ONNX has it; kBatchExtent for the batch
  int node = -1;
  Order order = {};
  bool positive = false;  // stands for node > 0: the condition of a Where
  std::shared_ptr<const Array> numbers = nullptr;
  bool trainable = false;  // of numbers: the model's weights, not constants of its text
  std::string name = "";
  std::optional<Ints> integers = std::nullopt;

  size_t rank() const { return shape.size(); }
  bool batched() const { return !shape.empty() && shape[0] == kBatchExtent; }
  bool is_tensor() const { return node >= 0; }
};

Order identity_order(size_t rank);

/// A shape in the graph's order of dimensions.
Ints in_graph(const Ints& shape, const Order& order);

/// A node in ONNX's order.
Value tensor(int node, Ints shape);

/// A node in the layout of another value.
Value like(const Value& x, int node, Ints shape);
Value like(const Value& x, int node);

Value number(double value);
/// Other numbers in the place of known ones.
Value constant_of(Array array, const Value& from);
Value integers_of(Ints values);

/// Some of known integers: result dimension d goes through dimension order[d] from `begin` on.
Value picked(const Value& x, const Ints& begin, const Ints& steps, const Ints& shape, const Order& order);

/// A shape in an error: Nx3x28x28.
std::string text(const Ints& shape);

}  // namespace kiln::from_onnx
