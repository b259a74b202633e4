#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator divide_operator;

/// a / b, element by element with NumPy's broadcasting.
Tensor divide(Operand a, Operand b);

inline Tensor operator/(Operand a, Operand b) { return divide(a, b); }
inline Tensor operator/(Operand a, double b) { return divide(a, a.tensor.graph().constant(b, a.location)); }
inline Tensor operator/(double a, Operand b) {
  return divide({b.tensor.graph().constant(a, b.location), b.location}, b);
}

}  // namespace kiln
