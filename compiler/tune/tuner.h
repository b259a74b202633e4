#pragma once

#include <functional>
#include <string>
#include <vector>

#include "codegen/model.h"
#include "schedule/knobs.h"

namespace kiln {

/// What the search knows of one kernel. Times are medians in seconds, with the rest of the program running in between.
struct TunedKernel {
  std::string program, name, key;  // key: see schedule_key
  std::vector<Knob> knobs;         // the fastest found
  double standard = 0, best = 0;
  int tried = 0;  // candidates so far
  bool done = false;
};

struct TuneOptions {
  double seconds = 60;
  int threads = 0;  // that the programs run with; 0: one for each processor
  CompileOptions compile;
  std::function<void(const std::vector<TunedKernel>&, double elapsed)> progress;  // after every round
  std::function<bool()> stop;                                                     // asked after every round
};

struct TuneResult {
  std::vector<TunedKernel> kernels;              // those with a faster schedule than the model came with
  double standard_median = 0, tuned_median = 0;  // of all programs' steps, before and after, run in turns
  double standard_minimum = 0, tuned_minimum = 0;
};

/// Searches the knobs of the model's hottest kernels by running candidates on this machine. In each round every kernel
/// tries the neighbours of its current choice of one knob; all candidates of a round are compiled together and run in
/// their program's place, in turn with the incumbent. A candidate whose result differs from the incumbent's beyond
/// rounding is an InternalError. What the search found is kept only if whole steps are faster with it.
TuneResult autotune(const Model& model, const TuneOptions& options);

}  // namespace kiln
