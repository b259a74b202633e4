#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

/// The batch dimension's extent while a graph is built: every activation has it first, no parameter has it.
/// A program gives it its value; it is printed as `N`.
inline constexpr int64_t kBatch = -1;

/// Extents in the user's order (activations: N, height, width, channel). Storage is row-major, except that the batch
/// dimension is innermost.
using Shape = std::vector<int64_t>;

/// `real` is f32 in a program and f64 in the reference evaluation; `int32` holds class labels. `bf16` holds reals that
/// are rounded to it: who reads one gets a real, and only memory is less.
enum class ElementType { real, bf16, int32 };

struct Type {
  Shape shape;
  ElementType element = ElementType::real;

  bool operator==(const Type&) const = default;
};

inline bool has_batch(const Shape& shape) { return !shape.empty() && shape.front() == kBatch; }

/// "Nx3x3x64"; "scalar" for rank 0.
std::string to_string(const Shape& shape);
const char* to_string(ElementType element);

/// Number of elements, with `batch` in place of the batch dimension.
int64_t element_count(const Shape& shape, int64_t batch = 1);

/// What a tensor takes in memory.
int64_t byte_count(const Type& type, int64_t batch = 1);

/// The shape with `batch` in place of the batch dimension.
Shape with_batch(Shape shape, int64_t batch);

/// The extents of the two after NumPy's broadcasting rule (aligned at the last dimension), or an empty optional-like
/// pair: `ok` is false when they do not fit.
struct Broadcast {
  bool ok = true;
  Shape shape;
};
Broadcast broadcast(const Shape& a, const Shape& b);

}  // namespace kiln
