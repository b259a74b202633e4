#include "profiler.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace kiln {
namespace {

constexpr size_t kSteps = 1024;       // a median of so many steps is as good as one of all
constexpr int64_t kTracedSteps = 10;  // enough to see the first, unusual one and then the usual
constexpr int kPhases = 2;

/// Since the process began, to the 10 ms in which Linux keeps that; 0 where it does not say.
double process_seconds() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i) {
  }
  timespec now = {};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const double start = std::strtod(field.c_str(), nullptr) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - start;
}

double median(const std::vector<float>& ring, int64_t count) {
  std::vector<float> values(ring.begin(), ring.begin() + std::min<int64_t>(count, static_cast<int64_t>(ring.size())));
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

float seconds_between(Profiler::Clock::time_point start, Profiler::Clock::time_point end) {
  return std::chrono::duration<float>(end - start).count();
}

}  // namespace

Profiler::Profiler(const kiln_program& program, int threads, bool trace, Clock::time_point begin)
    : program_(program),
      threads_(threads),
      trace_(trace),
      begin_(begin),
      seconds_(static_cast<size_t>(program.kernel_count + kPhases), std::vector<float>(kSteps)),
      counts_(seconds_.size()),
      step_seconds_(kSteps) {
  if (trace) events_.reserve(static_cast<size_t>(kTracedSteps) * seconds_.size());
}

void Profiler::run(Executor& executor, uint8_t* state, const kiln_scalars& scalars) {
  const Clock::time_point step_start = Clock::now();
  Clock::time_point start = step_start;
  for (int k = program_.prepared_count; k < program_.kernel_count; ++k) {
    executor.run_kernel(k, state, scalars);
    const Clock::time_point end = Clock::now();
    record(k, start, end);
    start = end;
  }
  step_seconds_[static_cast<size_t>(steps_) % kSteps] = seconds_between(step_start, start);
  if (++steps_ == 1) first_step_ = process_seconds();
}

void Profiler::record(int entry, Clock::time_point start, Clock::time_point end) {
  const auto e = static_cast<size_t>(entry);
  seconds_[e][static_cast<size_t>(counts_[e]++) % kSteps] = seconds_between(start, end);
  if (trace_ && steps_ < kTracedSteps) events_.push_back({entry, steps_, start, end});
}

std::string Profiler::name_of(int entry) const {
  if (entry < program_.kernel_count) return program_.kernels[entry].name;
  return entry == entry_of(Phase::load_batch) ? "load batch" : "average weights";
}

Profile Profiler::profile(const Roofline& roofline) const {
  Profile result;
  result.program = program_.name;
  result.threads = threads_;
  result.batch = program_.batch;
  result.steps = steps_;
  result.roofline = roofline;
  result.step_seconds = median(step_seconds_, steps_);
  result.first_step_seconds = first_step_;
  for (int k = program_.prepared_count; k < program_.kernel_count; ++k) {
    const kiln_kernel& kernel = program_.kernels[k];
    result.kernels.push_back({.name = kernel.name,
                              .place = fmt::format("{}:{}", kernel.file, kernel.line),
                              .schedule = kernel.schedule,
                              .seconds = median(seconds_[static_cast<size_t>(k)], counts_[static_cast<size_t>(k)]),
                              .flops = kernel.flops,
                              .bytes = kernel.bytes});
  }
  std::stable_sort(result.kernels.begin(), result.kernels.end(),
                   [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  for (const Phase phase : {Phase::load_batch, Phase::average_weights}) {
    const auto entry = static_cast<size_t>(entry_of(phase));
    if (counts_[entry] > 0)
      result.phases.emplace_back(name_of(entry_of(phase)), median(seconds_[entry], counts_[entry]));
  }
  return result;
}

std::string Profiler::trace() const {
  const auto process = static_cast<int32_t>(::getpid());
  const auto microseconds = [](Clock::duration d) {
    return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(d).count()) / 1000;
  };
  nlohmann::json list = nlohmann::json::array();
  list.push_back({{"name", "thread_name"},
                  {"ph", "M"},
                  {"pid", process},
                  {"tid", process},
                  {"args", {{"name", fmt::format("{} ({} threads)", program_.name, threads_)}}}});
  for (const Event& event : events_) {
    const bool kernel = event.entry < program_.kernel_count;
    nlohmann::json arguments = nlohmann::json::object();
    if (kernel) {
      const kiln_kernel& k = program_.kernels[event.entry];
      arguments = {{"step", event.step + 1}, {"line", fmt::format("{}:{}", k.file, k.line)}};
    }
    list.push_back({{"name", name_of(event.entry)},
                    {"cat", kernel ? "kernel" : "phase"},
                    {"ph", "X"},
                    {"pid", process},
                    {"tid", process},
                    {"ts", microseconds(event.start - begin_)},
                    {"dur", microseconds(event.end - event.start)},
                    {"args", arguments}});
  }
  const nlohmann::json trace = {
      {"displayTimeUnit", "ms"}, {"traceEvents", list}, {"otherData", {{"steps", std::min(steps_, kTracedSteps)}}}};
  return trace.dump() + "\n";
}

}  // namespace kiln
