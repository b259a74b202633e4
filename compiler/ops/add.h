#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator add_operator;

/// a + b, element by element with NumPy's broadcasting; a residual connection is one of these.
Tensor add(Operand a, Operand b);

inline Tensor operator+(Operand a, Operand b) { return add(a, b); }
inline Tensor operator+(Operand a, double b) { return add(a, a.tensor.graph().constant(b, a.location)); }
inline Tensor operator+(double a, Operand b) { return add({b.tensor.graph().constant(a, b.location), b.location}, b); }

}  // namespace kiln
