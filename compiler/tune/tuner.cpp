#include "tune/tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "codegen/kernel_bitcode.h"
#include "codegen/schedule_requests.h"
#include "ir/error.h"
#include "tune/bench.h"

namespace kiln {
namespace {

/// A kernel below this share of its program's time is left alone.
constexpr double kHot = 0.004;
/// Runs of each candidate in a round.
constexpr int kSamples = 9;
/// A candidate must be faster by more than a machine's noise.
constexpr double kBetter = 0.98;
/// Rounding of f32 sums in another order, squared and with room; see docs/design.md, Numbers.
constexpr double kRounding = 1e-7;

/// Normalised mean squared difference.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return size == 0 ? difference : difference / size;
}

/// One kernel's search.
struct Search {
  size_t bench, kernel;  // which program, and which kernel of it
  TunedKernel report;
  KernelSchedule incumbent;  // as the model came, then what was found
  std::vector<KernelSchedule> candidates;
  const kiln_kernel* compiled = nullptr;             // of the incumbent
  const kiln_kernel* compiled_candidates = nullptr;  // an array
  size_t knob = 0;                                   // whose neighbours are next
  size_t fruitless = 0;                              // knobs in a row that brought nothing
  std::set<std::string> seen;
  std::vector<double> times;
  std::vector<std::vector<double>> candidate_times;
};

Kernel with_schedule(Kernel kernel, KernelSchedule schedule) {
  kernel.schedule = std::move(schedule);
  return kernel;
}

/// The schedules next to the incumbent's along one knob: two legal values to either side, or every word.
std::vector<KernelSchedule> neighbours(const Program& program, const Kernel& kernel, Search& search,
                                       const std::string& target) {
  const Knob& knob = search.report.knobs[search.knob % search.report.knobs.size()];
  const auto at = std::find(knob.legal.begin(), knob.legal.end(), knob.value) - knob.legal.begin();
  std::vector<KernelSchedule> result;
  for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(knob.legal.size()); ++i) {
    if (i == at || std::abs(i - at) > 2) continue;
    const std::string& value = knob.legal[static_cast<size_t>(i)];
    KernelSchedule next = search.incumbent, bare = {{knob.name, value}};
    if (const auto recipe = next.find("recipe"); recipe != next.end() && knob.name != "recipe") bare.insert(*recipe);
    next[knob.name] = value;
    // Other knobs may have to go with this one: then they are left to the rules.
    for (const KernelSchedule& schedule : {knob.name == "recipe" ? bare : next, bare}) {
      try {
        const std::vector<Knob> knobs = kernel_knobs(program, with_schedule(kernel, schedule), target);
        if (search.seen.insert(to_string(knobs)).second) result.push_back(schedule);
        break;
      } catch (const UserError&) {
        continue;
      }
    }
  }
  return result;
}

class Tuner {
 public:
  Tuner(const Model& model, const TuneOptions& options)
      : model_(model),
        options_(options),
        target_(kernel_target(options.compile.target)),
        context_(options.threads > 0 ? options.threads
                                     : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))),
        object_(load_model(model, options.compile)) {
    for (const Program& program : model.programs) {
      if (program.name != "evaluate") benches_.push_back(std::make_unique<Bench>(program, object_, context_));
    }
  }

  TuneResult run() {
    choose_kernels();
    const auto start = Clock::now();
    while (seconds_since(start) < options_.seconds && !(options_.stop && options_.stop())) {
      if (!round()) break;
      if (options_.progress) options_.progress(reports(), seconds_since(start));
    }
    return compare();
  }

 private:
  const Program& program(const Search& search) const { return benches_[search.bench]->program; }
  const Kernel& kernel(const Search& search) const { return program(search).kernels[search.kernel]; }

  /// The kernels that take time, each signature once.
  void choose_kernels() {
    std::set<std::string> keys;
    for (size_t b = 0; b < benches_.size(); ++b) {
      Bench& bench = *benches_[b];
      std::vector<std::vector<double>> times(bench.program.kernels.size());
      for (int sample = 0; sample < kSamples; ++sample) {
        for (size_t k = 0; k < times.size(); ++k) times[k].push_back(bench.run(bench.compiled.kernels[k]));
      }
      double total = 0;
      for (const auto& list : times) total += median(list);
      for (size_t k = 0; k < times.size(); ++k) {
        const Kernel& kernel = bench.program.kernels[k];
        const std::string key = schedule_key(bench.program, kernel, target_);
        if (k < static_cast<size_t>(bench.program.prepared)) continue;  // no part of the step
        if (median(times[k]) < kHot * total || !keys.insert(key).second) continue;
        Search search;
        search.bench = b;
        search.kernel = k;
        search.incumbent = kernel.schedule;
        search.compiled = &bench.compiled.kernels[k];
        search.report = {bench.program.name, kernel.name, key, kernel_knobs(bench.program, kernel, target_)};
        search.report.standard = search.report.best = median(times[k]);
        search.seen.insert(to_string(search.report.knobs));
        searches_.push_back(std::move(search));
      }
    }
  }

  /// Compiles and runs the next candidates of every kernel; false when no kernel has any left.
  bool round() {
    Model trial = model_;
    for (Program& program : trial.programs) program.kernels.clear(), program.prepared = 0;
    bool any = false;
    for (Search& search : searches_) {
      search.candidates.clear();
      while (search.candidates.empty() && search.fruitless < search.report.knobs.size()) {
        search.candidates = neighbours(program(search), kernel(search), search, target_);
        if (search.candidates.empty()) next_knob(search);
      }
      search.report.done = search.candidates.empty();
      any = any || !search.report.done;
      for (Program& program : trial.programs) {
        if (program.name != this->program(search).name) continue;
        for (size_t c = 0; c < search.candidates.size(); ++c) {
          program.kernels.push_back(with_schedule(kernel(search), search.candidates[c]));
          program.kernels.back().name += fmt::format("_candidate_{}", c);
        }
      }
    }
    if (!any) return false;
    LoadedObject candidates = load_model(trial, options_.compile);
    for (size_t b = 0; b < benches_.size(); ++b) measure(b, *program_of(candidates.model(), benches_[b]->program.name));
    bool better = false;
    for (Search& search : searches_) better = judge(search) || better;
    if (better) kept_.push_back(std::move(candidates));
    return true;
  }

  static void next_knob(Search& search) {
    ++search.knob;
    ++search.fruitless;
  }

  /// Runs the program with candidates and incumbents taking turns in each kernel's place.
  void measure(size_t b, const kiln_program& candidates) {
    Bench& bench = *benches_[b];
    std::map<size_t, Search*> searched;  // by kernel
    const kiln_kernel* next = candidates.kernels;
    size_t most = 0;
    for (Search& search : searches_) {
      if (search.bench != b) continue;
      searched[search.kernel] = &search;
      search.compiled_candidates = next;
      next += search.candidates.size();
      most = std::max(most, search.candidates.size());
      search.times.clear();
      search.candidate_times.assign(search.candidates.size(), {});
    }
    for (size_t turn = 0; turn < kSamples * (most + 1); ++turn) {
      for (size_t k = 0; k < bench.program.kernels.size(); ++k) {
        const auto found = searched.find(k);
        if (found == searched.end()) {
          bench.run(bench.compiled.kernels[k]);
          continue;
        }
        Search& search = *found->second;
        const size_t count = search.candidates.size() + 1, choice = turn % count;
        if (choice == 0) {
          search.times.push_back(bench.run(*search.compiled));
          continue;
        }
        std::vector<double>& times = search.candidate_times[choice - 1];
        const bool same = turn < count ? computes_the_same(bench, search, choice - 1) : std::isfinite(times.front());
        times.push_back(same ? bench.run(search.compiled_candidates[choice - 1])
                             : std::numeric_limits<double>::infinity());
      }
    }
  }

  /// A schedule must not change a kernel's result, beyond the rounding of sums in another order. A candidate of which
  /// that cannot be said is not taken: it may be wrong, or the result is what rounding leaves of zero, or not finite on
  /// the bench's random inputs.
  bool computes_the_same(Bench& bench, const Search& search, size_t c) {
    const Kernel& kernel = this->kernel(search);
    const std::vector<float> before = bench.results(kernel);
    bench.run(*search.compiled);
    const std::vector<float> expected = bench.results(kernel);
    bench.restore(kernel, before);
    bench.run(search.compiled_candidates[c]);
    return difference(bench.results(kernel), expected) <= kRounding;
  }

  /// Takes the fastest candidate if it is faster; true when it is.
  static bool is_faster(const std::vector<double>& times, const std::vector<double>& than, double factor) {
    return median(times) < factor * median(than) &&
           *std::min_element(times.begin(), times.end()) < *std::min_element(than.begin(), than.end());
  }
  bool judge(Search& search) {
    if (search.candidates.empty()) return false;
    search.report.tried += static_cast<int>(search.candidates.size());
    int winner = -1;
    for (size_t c = 0; c < search.candidates.size(); ++c) {
      if (!is_faster(search.candidate_times[c], search.times, kBetter)) continue;
      if (winner < 0 || median(search.candidate_times[c]) < median(search.candidate_times[static_cast<size_t>(winner)]))
        winner = static_cast<int>(c);
    }
    if (winner < 0) {
      next_knob(search);
      return false;
    }
    search.incumbent = search.candidates[static_cast<size_t>(winner)];
    search.compiled = &search.compiled_candidates[winner];
    search.report.knobs = kernel_knobs(program(search), with_schedule(kernel(search), search.incumbent), target_);
    // In terms of the first measurement: rounds differ by what else the machine was doing.
    search.report.best *= median(search.candidate_times[static_cast<size_t>(winner)]) / median(search.times);
    search.fruitless = 0;
    changed_.insert(&search);
    return true;
  }

  std::vector<TunedKernel> reports() const {
    std::vector<TunedKernel> list;
    for (const Search& search : searches_) list.push_back(search.report);
    return list;
  }

  /// Whole steps with and without what was found, in turns.
  TuneResult compare() {
    TuneResult result;
    if (changed_.empty()) return result;
    std::vector<ScheduleRequest> requests;
    for (const Search* search : changed_) {
      ScheduleRequest request{"@" + search->report.key, {}, "--autotune"};
      for (const Knob& knob : search->report.knobs) request.knobs[knob.name] = knob.value;
      requests.push_back(std::move(request));
      result.kernels.push_back(search->report);
    }
    const LoadedObject tuned = load_model(with_schedules(model_, requests, target_), options_.compile);
    for (auto& bench : benches_) {
      std::vector<double> before, after;
      for (int sample = 0; sample < 5 * kSamples; ++sample) {
        before.push_back(bench->step(bench->compiled));
        after.push_back(bench->step(*program_of(tuned.model(), bench->program.name)));
      }
      result.standard_median += median(before);
      result.tuned_median += median(after);
      result.standard_minimum += *std::min_element(before.begin(), before.end());
      result.tuned_minimum += *std::min_element(after.begin(), after.end());
    }
    if (result.tuned_median >= result.standard_median) result.kernels.clear();
    return result;
  }

  const Model& model_;
  const TuneOptions& options_;
  const std::string target_;
  Context context_;
  LoadedObject object_;
  std::vector<std::unique_ptr<Bench>> benches_;
  std::vector<Search> searches_;
  std::set<const Search*> changed_;
  std::vector<LoadedObject> kept_;  // whose kernels are incumbents
};

}  // namespace

TuneResult autotune(const Model& model, const TuneOptions& options) { return Tuner(model, options).run(); }

}  // namespace kiln
