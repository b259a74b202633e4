#include "onnx_import/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <numeric>

namespace kiln::from_onnx {

Order identity_order(size_t rank) {
  Order order(rank);
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

Ints in_graph(const Ints& shape, const Order& order) {
  Ints result(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) result[order[d]] = shape[d];
  return result;
}

Value tensor(int node, Ints shape) {
  Order order = identity_order(shape.size());
  return {.shape = std::move(shape), .node = node, .order = std::move(order)};
}

Value like(const Value& x, int node, Ints shape) { return {.shape = std::move(shape), .node = node, .order = x.order}; }

Value like(const Value& x, int node) { return like(x, node, x.shape); }

Value number(double value) {
  Value result;
  result.numbers = std::make_shared<Array>(Array{{}, {static_cast<float>(value)}});
  return result;
}

Value constant_of(Array array, const Value& from) {
  Value value;
  value.shape = array.shape;
  value.numbers = std::make_shared<Array>(std::move(array));
  value.trainable = from.trainable;
  value.name = from.name;
  return value;
}

Value integers_of(Ints values) {
  Value value;
  value.shape = {static_cast<int64_t>(values.size())};
  value.integers = std::move(values);
  return value;
}

Value picked(const Value& x, const Ints& begin, const Ints& steps, const Ints& shape, const Order& order) {
  Ints strides(x.rank(), 1), values, index(shape.size(), 0);
  for (size_t d = x.rank(); d-- > 1;) strides[d - 1] = strides[d] * x.shape[d];
  for (int64_t n = element_count(shape); n > 0; --n) {
    int64_t from = 0;
    for (size_t d = 0; d < shape.size(); ++d)
      from += (begin[order[d]] + index[d] * steps[order[d]]) * strides[order[d]];
    values.push_back(x.integers->at(static_cast<size_t>(from)));
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
  Value result = integers_of(std::move(values));
  result.shape = shape;
  return result;
}

std::string text(const Ints& shape) {
  std::vector<std::string> extents;
  for (const int64_t extent : shape) extents.push_back(extent == kBatchExtent ? "N" : std::to_string(extent));
  return extents.empty() ? "of one number" : fmt::format("{}", fmt::join(extents, "x"));
}

}  // namespace kiln::from_onnx
