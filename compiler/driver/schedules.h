#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "codegen/model.h"
#include "progress.h"
#include "tune/tuner.h"

namespace kiln {

/// "1, 2, 3, 4, 6" or, for a run of numbers, "1..12".
std::string legal_values(const Knob& knob);

/// Every kernel with its key, its knobs, their values and what else is legal: --list-schedules.
std::string schedule_table(const Model& model, const std::string& target);

/// A schedule file's text with the lines of these kernels replaced or added; the rest stays as it is.
std::string with_tuned(const std::string& text, const std::vector<TunedKernel>& kernels);

/// The search's state as a table that is rewritten in place on a terminal, and as a line a round elsewhere.
class TuneTable {
 public:
  TuneTable(std::ostream& out, const ProgressStyle& style) : out_(out), style_(style) {}
  void show(const std::vector<TunedKernel>& kernels, double elapsed);

 private:
  std::ostream& out_;
  ProgressStyle style_;
  size_t lines_ = 0;  // of the table on the screen
};

/// What --autotune says at its end, for people and as one JSON object.
std::string tune_summary(const TuneResult& result, const std::string& path);
std::string to_json(const TuneResult& result);

}  // namespace kiln
