#pragma once

#include "ops/definition.h"
#include "ops/window.h"

/// What average_pool and its gradient share.
namespace kiln {

/// True where some position of the window lies outside the input.
bool reaches_padding(const Window& window);

/// One over the number of input elements in the window at output position (row, column).
Halide::Expr average_weight(const Operands& in, const std::vector<Window>& windows, const Halide::Expr& row,
                            const Halide::Expr& column);

}  // namespace kiln
