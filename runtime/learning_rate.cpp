#include "learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "error.h"

namespace kiln {
namespace {

/// From `from` at 0 to `to` at 1 along half a cosine.
double half_cosine(double from, double to, double part) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * std::clamp(part, 0.0, 1.0)));
}

}  // namespace

LearningRateSchedule::Kind parse_schedule(const std::string& name) {
  using Kind = LearningRateSchedule::Kind;
  for (const Kind kind : {Kind::constant, Kind::step, Kind::cosine, Kind::one_cycle}) {
    if (name == to_string(kind)) return kind;
  }
  throw UsageError("--schedule: there is no schedule '" + name + "'; there are constant, step, cosine and one-cycle");
}

const char* to_string(LearningRateSchedule::Kind kind) {
  switch (kind) {
    case LearningRateSchedule::Kind::step:
      return "step";
    case LearningRateSchedule::Kind::cosine:
      return "cosine";
    case LearningRateSchedule::Kind::one_cycle:
      return "one-cycle";
    default:
      return "constant";
  }
}

double learning_rate(const LearningRateSchedule& schedule, int64_t step, int64_t total, int64_t epoch_steps) {
  const double last = static_cast<double>(std::max<int64_t>(total - 1, 1));
  switch (schedule.kind) {
    case LearningRateSchedule::Kind::step:
      return schedule.rate *
             std::pow(schedule.drop,
                      static_cast<double>(step / std::max<int64_t>(epoch_steps * schedule.drop_every, 1)));
    case LearningRateSchedule::Kind::cosine:
      return half_cosine(schedule.rate, 0, static_cast<double>(step) / last);
    case LearningRateSchedule::Kind::one_cycle: {
      const double low = schedule.rate / 25, end = low / 10'000;
      const double top = 0.3 * static_cast<double>(total) - 1;  // PyTorch's pct_start
      const double at = static_cast<double>(step);
      if (at <= top) return half_cosine(low, schedule.rate, top <= 0 ? 1 : at / top);
      return half_cosine(schedule.rate, end, (at - top) / std::max(last - top, 1.0));
    }
    default:
      return schedule.rate;
  }
}

}  // namespace kiln
