#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "executor.h"
#include "profile.h"

namespace kiln {

/// Runs a program's steps kernel by kernel, with the time of each: the same calls in the same order as the step, so the
/// same bits.
class Profiler {
 public:
  using Clock = std::chrono::steady_clock;

  /// What the caller of a step does beside it.
  enum class Phase { load_batch, average_weights };

  /// The program must outlive it. `threads`: that run it; `trace`: whether to keep the first steps' events; `begin`:
  /// the trace's zero. Nothing is allocated later, but for the reports.
  Profiler(const kiln_program& program, int threads, bool trace, Clock::time_point begin = Clock::now());

  /// One step of the program.
  void run(Executor& executor, uint8_t* state, const kiln_scalars& scalars);

  /// Runs and times a part of what surrounds a step; without a profiler it is just run.
  template <class Work>
  static void time(Profiler* profiler, Phase phase, Work work) {
    if (profiler == nullptr) return work();
    const Clock::time_point start = Clock::now();
    work();
    profiler->record(profiler->entry_of(phase), start, Clock::now());
  }

  int64_t steps() const { return steps_; }

  /// Medians over the last steps, beside what the machine could do.
  Profile profile(const Roofline& roofline) const;

  /// The first steps in Chrome's Trace Event Format, which https://ui.perfetto.dev shows: a complete event a kernel
  /// and a phase. Times are microseconds since `begin`.
  std::string trace() const;

 private:
  struct Event {
    int entry;
    int64_t step;  // steps done before
    Clock::time_point start, end;
  };

  int entry_of(Phase phase) const { return program_.kernel_count + static_cast<int>(phase); }
  std::string name_of(int entry) const;
  void record(int entry, Clock::time_point start, Clock::time_point end);

  const kiln_program& program_;
  int threads_;
  bool trace_;
  Clock::time_point begin_;
  std::vector<std::vector<float>> seconds_;  // of the last steps, by entry: kernels, then phases; oldest overwritten
  std::vector<int64_t> counts_;              // how often each was timed
  std::vector<float> step_seconds_;
  std::vector<Event> events_;
  int64_t steps_ = 0;
  double first_step_ = 0;
};

}  // namespace kiln
