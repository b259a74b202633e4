#include "ir/type.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

std::string to_string(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (int64_t extent : shape) {
    if (!text.empty()) text += 'x';
    text += extent == kBatch ? std::string("N") : fmt::format("{}", extent);
  }
  return text;
}

const char* to_string(ElementType element) {
  return element == ElementType::real ? "real" : element == ElementType::bf16 ? "bf16" : "int32";
}

int64_t byte_count(const Type& type, int64_t batch) {
  return element_count(type.shape, batch) * (type.element == ElementType::bf16 ? 2 : 4);
}

int64_t element_count(const Shape& shape, int64_t batch) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent == kBatch ? batch : extent;
  return count;
}

Shape with_batch(Shape shape, int64_t batch) {
  std::replace(shape.begin(), shape.end(), kBatch, batch);
  return shape;
}

Broadcast broadcast(const Shape& a, const Shape& b) {
  Broadcast result;
  const size_t rank = std::max(a.size(), b.size());
  result.shape.resize(rank);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t extent_a = i < rank - a.size() ? 1 : a[i - (rank - a.size())];
    const int64_t extent_b = i < rank - b.size() ? 1 : b[i - (rank - b.size())];
    if (extent_a != extent_b && extent_a != 1 && extent_b != 1) result.ok = false;
    result.shape[i] = extent_a == 1 ? extent_b : extent_a;
  }
  return result;
}

}  // namespace kiln
