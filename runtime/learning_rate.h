#pragma once

#include <cstdint>
#include <string>

namespace kiln {

/// How the learning rate changes over a training run.
struct LearningRateSchedule {
  enum class Kind { constant, step, cosine, one_cycle } kind = Kind::constant;
  double rate = 1e-3;       // the constant rate, the first one, or the peak
  double drop = 0.1;        // step: the factor ...
  int64_t drop_every = 10;  // ... after so many epochs
};

/// "constant", "step", "cosine" or "one-cycle"; throws UsageError.
LearningRateSchedule::Kind parse_schedule(const std::string& name);
const char* to_string(LearningRateSchedule::Kind kind);

/// The rate of step `step` of `total` (`epoch_steps` an epoch). Cosine falls to 0 along half a cosine (Loshchilov and
/// Hutter 2017); one-cycle is PyTorch's OneCycleLR: up from rate / 25 over the first 30%, down to rate / 250,000, both
/// along half a cosine (Smith and Topin 2018).
double learning_rate(const LearningRateSchedule& schedule, int64_t step, int64_t total, int64_t epoch_steps);

}  // namespace kiln
