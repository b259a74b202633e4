#include "peak.h"

#include <algorithm>
#include <chrono>

namespace kiln {
namespace {

constexpr int kAccumulators = 12;  // enough to hide a multiply-add's latency
constexpr long kTurns = 4'000'000;

/// Runs independent chains of multiply-adds; the compiler makes vectors of `width` floats of them.
template <int kWidth>
__attribute__((always_inline)) inline float chains() {
  typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
  const Vector x = Vector{} + 0.999F, y = Vector{} + 1e-7F;
  Vector a{}, b{}, c{}, d{}, e{}, f{}, g{}, h{}, k{}, l{}, m{}, n{};  // named, so that each has a register
  for (long i = 0; i < kTurns; ++i) {
    a = a * x + y, b = b * x + y, c = c * x + y, d = d * x + y, e = e * x + y, f = f * x + y;
    g = g * x + y, h = h * x + y, k = k * x + y, l = l * x + y, m = m * x + y, n = n * x + y;
    asm volatile("" : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f));  // no chain may be folded or hoisted
    asm volatile("" : "+v"(g), "+v"(h), "+v"(k), "+v"(l), "+v"(m), "+v"(n));
  }
  const Vector total = a + b + c + d + e + f + g + h + k + l + m + n;
  float lanes[kWidth];
  __builtin_memcpy(lanes, &total, sizeof(lanes));
  float result = 0;
  for (const float lane : lanes) result += lane;
  return result;
}

#if defined(__x86_64__)
__attribute__((target("avx512f,fma"))) float chains_512() { return chains<16>(); }
__attribute__((target("avx2,fma"))) float chains_256() { return chains<8>(); }
#endif

template <class Work>
double best_rate(Work work, int width) {
  double best = 0;
  volatile float sink = 0;
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    sink = work();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 2.0 * kTurns * kAccumulators * width / seconds);
  }
  (void)sink;
  return best;
}

}  // namespace

double peak_flops() {
  static const double peak = [] {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return best_rate(chains_512, 16);
    if (__builtin_cpu_supports("avx2")) return best_rate(chains_256, 8);
#endif
    return best_rate(chains<4>, 4);
  }();
  return peak;
}

}  // namespace kiln
