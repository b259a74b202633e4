#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kiln {

/// The calling thread's floating-point control register, rounding and treatment of denormal numbers: MXCSR, or FPCR.
inline uint64_t floating_point_mode() {
#if defined(__x86_64__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
#else
  return 0;
#endif
}

inline void set_floating_point_mode(uint64_t mode) {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(mode));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" ::"r"(mode));
#else
  static_cast<void>(mode);
#endif
}

/// While it lives, the calling thread takes and makes zeros instead of denormal numbers (below 1.2e-38), which some
/// processors compute a hundred times more slowly: an optimizer's decaying state would end in them.
class FlushDenormals {
 public:
  FlushDenormals() : before_(floating_point_mode()) { set_floating_point_mode(before_ | kFlush); }
  ~FlushDenormals() { set_floating_point_mode(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr uint64_t kFlush = 0x8040;  // flush to zero, denormals are zero
#elif defined(__aarch64__)
  static constexpr uint64_t kFlush = 1 << 24;  // FZ, of both
#else
  static constexpr uint64_t kFlush = 0;
#endif
  uint64_t before_;
};

}  // namespace kiln
