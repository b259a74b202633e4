#include "finite.h"

namespace kiln {

bool all_finite(const float* values, size_t count) {
  uint32_t found = 0;  // no early exit: the loop is a handful of vector instructions a cache line
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    found |= (bits & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
  }
  return found == 0;
}

size_t count_non_finite(const float* values, size_t count) {
  size_t found = 0;
  for (size_t i = 0; i < count; ++i) found += is_finite(values[i]) ? 0 : 1;
  return found;
}

}  // namespace kiln
