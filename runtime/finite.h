#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kiln {

/// Whether the value is neither infinite nor NaN. Reads the exponent's bits, so that it holds under any floating-point
/// flag a file may be compiled with.
inline bool is_finite(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return (bits & 0x7f800000u) != 0x7f800000u;
}
inline bool is_finite(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return (bits >> 52 & 0x7ff) != 0x7ff;
}

/// Whether all `count` values are finite. One pass that vectorises.
bool all_finite(const float* values, size_t count);

/// How many of `count` values are infinite or NaN.
size_t count_non_finite(const float* values, size_t count);

}  // namespace kiln
