#pragma once

#include <cstdint>

#include "parallel.h"

namespace kiln {

/// What bounds a kernel on this machine: arithmetic, and moving data.
struct Roofline {
  double flops = 0;  // f32 multiply-adds a second of all threads together, counted as two operations each
  double bytes = 0;  // read and written a second by all threads together

  /// The seconds that so much work takes at least.
  double seconds(double work_flops, double work_bytes) const;
  /// Whether moving data bounds such work, not arithmetic.
  bool bound_by_memory(double work_flops, double work_bytes) const;
};

/// f32 multiply-adds that the pool's threads do in a second together, counted as two operations each: the best of
/// several runs, some 50 ms in all.
double peak_flops(ThreadPool& pool);

/// Bytes that the pool's threads read and write in a second when they stream through `bytes` of memory, each value
/// read, changed and written in place: the best of several runs, some 100 ms in all. Memory as large as a program's
/// arena and state lies in the caches or behind them as theirs does.
double streaming_bandwidth(ThreadPool& pool, uint64_t bytes);

/// Both, for a program that works on so many bytes.
Roofline measure_roofline(ThreadPool& pool, uint64_t bytes);

}  // namespace kiln
