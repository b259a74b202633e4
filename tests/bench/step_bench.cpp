// A model's programs and each of their kernels, against this machine's measured peak. Every time is that of one call.
//
//   build/kiln_bench --benchmark_filter=train/            the step, 1 thread and all
//   build/kiln_bench --benchmark_filter=predict_rows/     from rows of bytes to rows of probabilities: 1, 64, 1024 rows
//   build/kiln_bench --benchmark_filter=^kernel/          the step's kernels: GFLOP/s, GB/s, percent of the peak, tasks
//   build/kiln_bench --benchmark_filter=predict_kernel/   those of prediction, predict_one_kernel/ those of one row
//   build/kiln_bench --benchmark_filter='region|memory'   what a parallel loop costs; bytes that memory moves
//   build/kiln_bench --first-step                         nothing of that: one training step and out, for a stopwatch
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

#include "batches.h"
#include "executor.h"
#include "initialize.h"
#include "model_inputs.h"
#include "roofline.h"

namespace {

// Parallel loops since the last reset and the tasks in them. Loops within tasks count as well, from any thread.
std::atomic<int64_t> loop_count, task_count;

}  // namespace

// The linker sends calls of kiln_parallel_for here (--wrap); the names are its own.
extern "C" {
int __real_kiln_parallel_for(void* context, int (*task)(void*, int, uint8_t*), int begin, int count, uint8_t* closure);
int __wrap_kiln_parallel_for(void* context, int (*task)(void*, int, uint8_t*), int begin, int count, uint8_t* closure) {
  loop_count.fetch_add(1, std::memory_order_relaxed);
  task_count.fetch_add(count, std::memory_order_relaxed);
  return __real_kiln_parallel_for(context, task, begin, count, closure);
}
}

namespace kiln {
namespace {

const kiln_model& model() { return *kiln_linked_model(); }

/// Random pixels and labels in the shapes that the model takes: a step's time does not depend on them.
Dataset random_rows(int64_t count) {
  const ModelInputs inputs = model_inputs(model());
  Dataset data;
  data.rows = count;
  data.shape = inputs.shape;
  data.origin = "random rows";
  std::mt19937 generator(1);
  data.pixels.resize(static_cast<size_t>(count * data.elements()));
  for (uint8_t& pixel : data.pixels) pixel = static_cast<uint8_t>(generator());
  data.labels.resize(static_cast<size_t>(count));
  for (int32_t& label : data.labels) label = static_cast<int32_t>(generator() % static_cast<uint32_t>(inputs.classes));
  return data;
}

std::vector<int32_t> first_rows(int32_t count) {
  std::vector<int32_t> rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

/// A program on initial weights and a batch of random rows.
struct Loaded {
  Loaded(const kiln_program& program, int threads)
      : context(threads), executor(program, context), state(model().state_bytes), data(random_rows(program.batch)) {
    initialize(model(), 1, state.data());
    BatchLoader(executor, data).load(first_rows(program.batch).data(), program.batch);
    executor.prepare(state.data());
  }
  void run() { executor.run(state.data(), {1e-4F, step++, 1, executor.program().batch, 0}); }

  Context context;
  Executor executor;
  AlignedMemory state;
  Dataset data;
  int32_t step = 0;
  int measured_kernel = -1;  // the last one that ran by itself
};

double one_thread_peak() {
  static const double peak = [] {
    ThreadPool pool(1);
    return kiln::peak_flops(pool);
  }();
  return peak;
}

double total_flops(const kiln_program& program) {
  double flops = 0;
  for (int k = program.prepared_count; k < program.kernel_count; ++k) flops += program.kernels[k].flops;
  return flops;
}

/// Times each of the benchmark's calls: the median and the minimum say more than the mean on a shared machine. `rows`
/// and `flops` are those of a call.
template <class Call>
void time_calls(benchmark::State& bench, double rows, double flops, Call call) {
  std::vector<double> times;
  times.reserve(1 << 20);
  for (auto _ : bench) {
    const auto start = std::chrono::steady_clock::now();
    call();
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  bench.counters["min_us"] = times.front() * 1e6;
  bench.counters["median_us"] = median * 1e6;
  bench.counters["p99_us"] = times[times.size() * 99 / 100] * 1e6;
  bench.counters["rows/s"] = rows / median;
  bench.counters["GFLOP/s"] = flops / median / 1e9;
  bench.counters["of_peak_%"] = 100 * flops / median / (static_cast<double>(bench.range(0)) * one_thread_peak());
}

void run_program(benchmark::State& bench, const kiln_program* program) {
  Loaded loaded(*program, static_cast<int>(bench.range(0)));
  for (int i = 0; i < 5; ++i) loaded.run();
  time_calls(bench, program->batch, total_flops(*program), [&] { loaded.run(); });
}

/// As the predictor does it: a batch is loaded from bytes, predicted, and its probabilities are collected row by row.
void predict_rows(benchmark::State& bench, const kiln_program* program, int32_t count) {
  Loaded loaded(*program, static_cast<int>(bench.range(0)));
  const Dataset data = random_rows(count);
  BatchLoader loader(loaded.executor, data);
  const kiln_value& output = program->outputs[predicted_output(model())];
  const std::vector<int32_t> rows = first_rows(count);
  std::vector<float> probabilities(static_cast<size_t>(count) * output.count);
  const auto predict = [&] {
    for (int32_t first = 0; first < count; first += program->batch) {
      const int32_t batch = std::min(program->batch, count - first);
      loader.load(&rows[static_cast<size_t>(first)], batch);
      loaded.executor.run(loaded.state.data(), {0, 0, 0, batch, 0});
      const float* values = loaded.executor.real(output);
      for (int32_t n = 0; n < batch; ++n) {
        float* row = &probabilities[static_cast<size_t>(first + n) * output.count];
        for (uint64_t i = 0; i < output.count; ++i) row[i] = values[i * static_cast<uint64_t>(program->lanes) + n];
      }
    }
    benchmark::DoNotOptimize(probabilities.data());
  };
  predict();
  time_calls(bench, count, total_flops(*program) / program->batch * count, predict);
}

/// A program's arena and state for all its kernels' benchmarks, by number of threads: they take longer to make than a
/// kernel to measure.
using LoadedByThreads = std::map<int, std::unique_ptr<Loaded>>;

void run_kernel(benchmark::State& bench, const kiln_program* program, int kernel,
                const std::shared_ptr<LoadedByThreads>& loaded_programs) {
  std::unique_ptr<Loaded>& slot = (*loaded_programs)[static_cast<int>(bench.range(0))];
  if (slot == nullptr) slot = std::make_unique<Loaded>(*program, static_cast<int>(bench.range(0)));
  Loaded& loaded = *slot;
  if (loaded.measured_kernel != kernel) loaded.run();  // every buffer holds what it should
  loaded.measured_kernel = kernel;
  const kiln_kernel& k = program->kernels[kernel];
  const kiln_scalars scalars = {0, 1, 1, program->batch, 0};
  loop_count = task_count = 0;
  loaded.executor.run_kernel(kernel, loaded.state.data(), scalars);
  const auto loops = static_cast<double>(loop_count), tasks = static_cast<double>(task_count);
  time_calls(bench, program->batch, k.flops, [&] { loaded.executor.run_kernel(kernel, loaded.state.data(), scalars); });
  bench.counters["GB/s"] = k.bytes / bench.counters["median_us"] / 1e3;
  bench.counters["loops"] = loops;
  bench.counters["tasks"] = tasks;
}

/// A parallel loop whose tasks take some microseconds each, in registers: what 2 threads need beyond half of 1 thread's
/// time is the cost of the loop. (Tasks that do nothing are all done before a second thread comes.)
void parallel_region(benchmark::State& bench, int tasks) {
  Context context(static_cast<int>(bench.range(0)));
  const auto task = [](void*, int, uint8_t*) {
    float value = 0;
    for (int i = 0; i < 5000; ++i) {
      value = value * 0.999F + 1;
      benchmark::DoNotOptimize(value);
    }
    return 0;
  };
  time_calls(bench, 0, 0, [&] { kiln_parallel_for(&context, task, 0, tasks, nullptr); });
}

/// Reads and writes a block that no cache holds: what streaming kernels can get at most.
void stream_memory(benchmark::State& bench) {
  const int threads = static_cast<int>(bench.range(0));
  constexpr size_t kFloats = size_t{64} << 20;
  AlignedMemory memory(kFloats * sizeof(float));
  auto* values = reinterpret_cast<float*>(memory.data());
  Context context(threads);
  const size_t part = kFloats / static_cast<size_t>(threads);
  const auto pass = [&] {
    context.pool.for_each(threads, [&](int task) {
      float* begin = values + static_cast<size_t>(task) * part;
      for (size_t i = 0; i < part; ++i) begin[i] += 1;
    });
  };
  pass();
  time_calls(bench, 0, 0, pass);
  bench.counters["GB/s"] = 2.0 * kFloats * sizeof(float) / bench.counters["median_us"] / 1e3;
}

/// Registers a benchmark for one thread and, where there are more cores, for all of them.
template <class Function, class... Arguments>
auto* add(const std::string& name, Function function, Arguments... arguments) {
  auto* bench = benchmark::RegisterBenchmark(name.c_str(), function, arguments...);
  bench->ArgName("threads")->Arg(1)->UseRealTime()->Unit(benchmark::kMicrosecond);
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  if (cores > 1) bench->Arg(cores);
  return bench;
}

void register_all() {
  const kiln_model& m = model();
  for (const kiln_program* program : {m.train, m.evaluate, m.predict, m.predict_one}) {
    if (program == nullptr) continue;
    add(program->name, run_program, program);
    const std::string prefix = program == m.train ? "kernel/" : fmt::format("{}_kernel/", program->name);
    const auto loaded = std::make_shared<LoadedByThreads>();
    for (int k = program->prepared_count; k < program->kernel_count; ++k)
      add(prefix + program->kernels[k].name, run_kernel, program, k, loaded)->MinTime(0.03);
  }
  add("predict_rows/1", predict_rows, m.predict_one != nullptr ? m.predict_one : m.predict, 1);
  add("predict_rows/64", predict_rows, m.predict, 64);
  add("predict_rows/1024", predict_rows, m.predict, 1024);
  add("region/2", parallel_region, 2)->MinTime(0.1);
  add("region/64", parallel_region, 64)->MinTime(0.1);
  add("memory", stream_memory)->MinTime(0.3);
}

}  // namespace
}  // namespace kiln

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--first-step") {
    kiln::Loaded loaded(*kiln::model().train, static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
    loaded.run();
    std::puts("done");
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  kiln::register_all();
  benchmark::AddCustomContext("f32_peak_gflops", std::to_string(kiln::one_thread_peak() / 1e9));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
