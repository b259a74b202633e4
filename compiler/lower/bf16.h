#pragma once

#include <Halide.h>

namespace kiln {

/// The nearest bf16 of an f32, of two equally near the smaller in magnitude: two integer operations. (Ties to even
/// would be three more, for one number in 65,536.)
inline Halide::Expr to_bf16(const Halide::Expr& value) {
  const Halide::Expr bits = Halide::reinterpret<uint32_t>(value) + Halide::cast<uint32_t>(0x7fff);
  return Halide::reinterpret(Halide::BFloat(16), Halide::cast<uint16_t>(bits >> 16));
}

/// The f32 of the same value. Dot products want a cast instead, which is what Halide knows them by.
inline Halide::Expr from_bf16(const Halide::Expr& value) {
  return Halide::reinterpret<float>(Halide::cast<uint32_t>(Halide::reinterpret<uint16_t>(value)) << 16);
}

inline Halide::Expr rounded_to_bf16(const Halide::Expr& value) {
  return Halide::cast(value.type(), from_bf16(to_bf16(Halide::cast<float>(value))));
}

}  // namespace kiln
