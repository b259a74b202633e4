#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator subtract_operator;

/// a - b, element by element with NumPy's broadcasting.
Tensor subtract(Operand a, Operand b);

inline Tensor operator-(Operand a, Operand b) { return subtract(a, b); }
inline Tensor operator-(Operand a, double b) { return subtract(a, a.tensor.graph().constant(b, a.location)); }
inline Tensor operator-(double a, Operand b) {
  return subtract({b.tensor.graph().constant(a, b.location), b.location}, b);
}

}  // namespace kiln
