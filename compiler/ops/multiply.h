#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator multiply_operator;

/// a * b, element by element with NumPy's broadcasting.
Tensor multiply(Operand a, Operand b);

inline Tensor operator*(Operand a, Operand b) { return multiply(a, b); }
inline Tensor operator*(Operand a, double b) { return multiply(a, a.tensor.graph().constant(b, a.location)); }
inline Tensor operator*(double a, Operand b) {
  return multiply({b.tensor.graph().constant(a, b.location), b.location}, b);
}

}  // namespace kiln
