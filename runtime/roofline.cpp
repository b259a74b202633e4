#include "roofline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <vector>

namespace kiln {
namespace {

constexpr int kAccumulators = 12;  // enough to hide a multiply-add's latency
#if defined(__aarch64__)
#define KILN_VECTOR_REGISTER "+w"
#else
#define KILN_VECTOR_REGISTER "+v"
#endif

constexpr long kTurns = 1'000'000;

/// Runs independent chains of multiply-adds; the compiler makes vectors of `width` floats of them.
template <int kWidth>
__attribute__((always_inline)) inline float chains() {
  typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
  const Vector x = Vector{} + 0.999F, y = Vector{} + 1e-7F;
  Vector a{}, b{}, c{}, d{}, e{}, f{}, g{}, h{}, k{}, l{}, m{}, n{};  // named, so that each has a register
  for (long i = 0; i < kTurns; ++i) {
    a = a * x + y, b = b * x + y, c = c * x + y, d = d * x + y, e = e * x + y, f = f * x + y;
    g = g * x + y, h = h * x + y, k = k * x + y, l = l * x + y, m = m * x + y, n = n * x + y;
    asm volatile(""
                 : KILN_VECTOR_REGISTER(a), KILN_VECTOR_REGISTER(b), KILN_VECTOR_REGISTER(c), KILN_VECTOR_REGISTER(d),
                   KILN_VECTOR_REGISTER(e), KILN_VECTOR_REGISTER(f));  // no chain may be folded or hoisted
    asm volatile(""
                 : KILN_VECTOR_REGISTER(g), KILN_VECTOR_REGISTER(h), KILN_VECTOR_REGISTER(k), KILN_VECTOR_REGISTER(l),
                   KILN_VECTOR_REGISTER(m), KILN_VECTOR_REGISTER(n));
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

using Chains = float (*)();

/// The widest vectors that this processor has.
std::pair<Chains, int> widest_chains() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {chains_512, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {chains_256, 8};
#endif
  return {chains<4>, 4};
}

/// The least of several times, in seconds: whatever disturbs a run makes it longer.
double shortest(const std::function<void()>& work, int runs) {
  double best = 1e30;
  for (int run = 0; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

double Roofline::seconds(double work_flops, double work_bytes) const {
  return std::max(work_flops / flops, work_bytes / bytes);
}

bool Roofline::bound_by_memory(double work_flops, double work_bytes) const {
  return work_bytes / bytes > work_flops / flops;
}

double peak_flops(ThreadPool& pool) {
  const auto [chain, width] = widest_chains();
  std::atomic<float> sink = 0;  // a result that somebody might read is computed
  // Each task waits until all have begun, so that each has a thread of its own.
  const double seconds = shortest(
      [&, chain = chain] {
        std::atomic<int> begun = 0;
        pool.for_each(pool.threads(), [&](int) {
          ++begun;
          while (begun.load() < pool.threads()) std::this_thread::yield();
          sink = chain();
        });
      },
      6);
  return 2.0 * kTurns * kAccumulators * width * pool.threads() / seconds;
}

double streaming_bandwidth(ThreadPool& pool, uint64_t bytes) {
  constexpr size_t kChunk = 16 << 10;  // floats a task
  const size_t chunks = std::max<size_t>(static_cast<size_t>(pool.threads()), bytes / sizeof(float) / kChunk);
  std::vector<float> values(chunks * kChunk, 1.0F);
  const double seconds = shortest(
      [&] {
        pool.for_each(static_cast<int>(chunks), [&](int chunk) {
          float* at = values.data() + static_cast<size_t>(chunk) * kChunk;
          for (size_t i = 0; i < kChunk; ++i) at[i] = at[i] * 0.5F + 0.5F;
        });
      },
      8);
  return 2.0 * static_cast<double>(values.size() * sizeof(float)) / seconds;
}

Roofline measure_roofline(ThreadPool& pool, uint64_t bytes) {
  return {.flops = peak_flops(pool), .bytes = streaming_bandwidth(pool, bytes)};
}

}  // namespace kiln
