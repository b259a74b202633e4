#include "ops/average_window.h"

namespace kiln {

using Halide::Expr;

bool reaches_padding(const Window& window) {
  return window.before > 0 ||
         (window.output - 1) * window.stride + (window.size - 1) * window.dilation - window.before >= window.input;
}

Expr average_weight(const Operands& in, const std::vector<Window>& windows, const Expr& row, const Expr& column) {
  Expr count = 1;
  for (size_t i = 0; i < 2; ++i) {
    const Window& w = windows[i];
    Expr inside = static_cast<int>(w.size);
    if (reaches_padding(w)) {
      const Expr start = (i == 0 ? row : column) * static_cast<int>(w.stride) - static_cast<int>(w.before);
      inside = Halide::min(start + static_cast<int>(w.size), static_cast<int>(w.input)) - Halide::max(start, 0);
    }
    count *= inside;
  }
  return in.constant(1) / Halide::cast(in.real(), count);
}

}  // namespace kiln
