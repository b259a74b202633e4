// The digit network's programs and each of their kernels, against this machine's measured peak.
//
//   build/kiln_bench --benchmark_filter=train/          the step, 1 thread and all
//   build/kiln_bench --benchmark_filter=predict_one/    one row: median and minimum of its latency
//   build/kiln_bench --benchmark_filter=^kernel/        every kernel of the step: GFLOP/s, GB/s, percent of the peak
//   build/kiln_bench --benchmark_filter=predict_kernel/ those of prediction, predict_one_kernel/ those of one row
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "batches.h"
#include "data/synthetic_digits.h"
#include "executor.h"
#include "initialize.h"
#include "peak.h"

extern "C" const kiln_model digits_model;

namespace kiln {
namespace {

/// A program on initial weights and a batch of built-in digits.
struct Loaded {
  Loaded(const kiln_program& program, int threads)
      : context(threads),
        executor(program, context),
        state(digits_model.state_bytes),
        data(synthetic_digits(program.batch, 1, 1)) {
    initialize(digits_model, 1, state.data());
    BatchLoader loader(executor, data);
    const std::vector<int32_t> rows = shuffled_rows(0, data.rows, 1, 0);
    loader.load(rows.data(), program.batch);
    executor.prepare(state.data());
  }
  kiln_scalars scalars() { return {1e-4F, step++, 1, executor.program().batch}; }

  Context context;
  Executor executor;
  AlignedMemory state;
  Dataset data;
  int32_t step = 0;
};

double total_flops(const kiln_program& program) {
  double flops = 0;
  for (int k = program.prepared_count; k < program.kernel_count; ++k) flops += program.kernels[k].flops;
  return flops;
}

void run_program(benchmark::State& bench, const kiln_program* program) {
  const int threads = static_cast<int>(bench.range(0));
  Loaded loaded(*program, threads);
  for (int i = 0; i < 5; ++i) loaded.executor.run(loaded.state.data(), loaded.scalars());
  std::vector<double> times;
  times.reserve(1 << 20);
  for (auto _ : bench) {
    const auto start = std::chrono::steady_clock::now();
    loaded.executor.run(loaded.state.data(), loaded.scalars());
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  const double flops = total_flops(*program) * static_cast<double>(bench.iterations());
  bench.counters["min_ms"] = times.front() * 1e3;
  bench.counters["median_ms"] = times[times.size() / 2] * 1e3;
  bench.counters["GFLOP/s"] = benchmark::Counter(flops / 1e9, benchmark::Counter::kIsRate);
  bench.counters["of_peak_%"] = benchmark::Counter(100 * flops / (threads * peak_flops()), benchmark::Counter::kIsRate);
  bench.counters["rows/s"] = benchmark::Counter(
      static_cast<double>(program->batch) * static_cast<double>(bench.iterations()), benchmark::Counter::kIsRate);
}

void run_kernel(benchmark::State& bench, const kiln_program* program, int kernel) {
  Loaded loaded(*program, static_cast<int>(bench.range(0)));
  loaded.executor.run(loaded.state.data(), loaded.scalars());  // every buffer holds what it should
  const kiln_kernel& k = program->kernels[kernel];
  kiln_scalars scalars = loaded.scalars();
  scalars.learning_rate = 0;
  for (auto _ : bench) loaded.executor.run_kernel(kernel, loaded.state.data(), scalars);
  const double runs = static_cast<double>(bench.iterations());
  bench.counters["GFLOP/s"] = benchmark::Counter(k.flops * runs / 1e9, benchmark::Counter::kIsRate);
  bench.counters["of_peak_%"] = benchmark::Counter(
      100 * k.flops * runs / (static_cast<double>(bench.range(0)) * peak_flops()), benchmark::Counter::kIsRate);
  bench.counters["GB/s"] = benchmark::Counter(k.bytes * runs / 1e9, benchmark::Counter::kIsRate);
}

void register_all() {
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  for (const kiln_program* program : {digits_model.train, digits_model.evaluate, digits_model.predict, digits_model.predict_one}) {
    auto* bench = benchmark::RegisterBenchmark((std::string(program->name) + "/threads").c_str(), run_program, program)
                      ->Arg(1)
                      ->UseRealTime()
                      ->Unit(program->batch == 1 ? benchmark::kMicrosecond : benchmark::kMillisecond);
    if (cores > 1) bench->Arg(cores);
  }
  for (const kiln_program* program : {digits_model.predict, digits_model.predict_one}) {
    for (int k = program->prepared_count; k < program->kernel_count; ++k) {
      auto* bench = benchmark::RegisterBenchmark(
                        (std::string(program->name) + "_kernel/" + program->kernels[k].name + "/threads").c_str(),
                        run_kernel, program, k)
                        ->Arg(1)
                        ->UseRealTime()
                        ->Unit(benchmark::kMicrosecond)
                        ->MinTime(0.05);
      if (cores > 1) bench->Arg(cores);
    }
  }
  for (int k = 0; k < digits_model.train->kernel_count; ++k) {
    benchmark::RegisterBenchmark((std::string("kernel/") + digits_model.train->kernels[k].name).c_str(), run_kernel,
                                 digits_model.train, k)
        ->Arg(1)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(0.05);
  }
}

}  // namespace
}  // namespace kiln

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  kiln::register_all();
  benchmark::AddCustomContext("f32 peak of one thread",
                              std::to_string(kiln::peak_flops() / 1e9) + " GFLOP/s, measured");
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
