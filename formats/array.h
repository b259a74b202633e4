#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace kiln {

/// A tensor as files hold it: row-major, f32. `integer` says that the file's type is a 32-bit integer (a counter).
struct Array {
  std::vector<int64_t> shape;
  std::vector<float> values;
  bool integer = false;
};

struct NamedArray {
  std::string name;
  Array array;
};

/// The shortest decimal number that is this f32: 0.1 and not 0.10000000149.
inline double as_written(float value) { return std::stod(fmt::format("{}", value)); }

inline int64_t element_count(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace kiln
