#pragma once

namespace kiln {

/// Multiply-adds of f32 vectors that one thread does in a second on this machine, counted as two operations each:
/// measured once, the best of several runs.
double peak_flops();

}  // namespace kiln
