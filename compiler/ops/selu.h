#pragma once

#include "ir/graph.h"

namespace kiln {

extern const Operator selu_operator;

/// The constants of self-normalising networks (Klambauer et al. 2017).
inline constexpr double kSeluAlpha = 1.6732632423543772;
inline constexpr double kSeluScale = 1.0507009873554805;

/// kSeluScale * (x where x > 0, else kSeluAlpha * (e^x - 1)); wants lecun_normal kernels and alpha_dropout.
Tensor selu(Operand x);

}  // namespace kiln
