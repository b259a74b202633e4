#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kiln {

/// IEEE 754's half precision.
inline float from_half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float value = exponent == 0    ? std::ldexp(static_cast<float>(mantissa), -24)
                      : exponent == 31 ? (mantissa == 0 ? std::numeric_limits<float>::infinity()
                                                        : std::numeric_limits<float>::quiet_NaN())
                                       : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return (bits & 0x8000) != 0 ? -value : value;
}

/// The upper half of an f32.
inline float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

}  // namespace kiln
