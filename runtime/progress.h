#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "metrics.h"

namespace kiln {

/// How progress may be written to a stream.
struct ProgressStyle {
  bool terminal = false;  // rewrite the line with carriage returns; else one plain line an epoch
  bool color = false;
  int columns = 80;  // a rewritten line that wrapped could not be rewritten: it is cut before
};

/// What standard output is: a terminal or not, its width, and whether NO_COLOR (no-color.org) is set.
ProgressStyle standard_output_style();

/// The progress of an epoch in Keras's form:
///
///     Epoch 1/2
///     525/525 ━━━━━━━━━━━━━━━━━━━━ 3s 5ms/step - accuracy: 0.9132 - loss: 0.0561 - val_accuracy: 0.9741 - val_loss:
///     0.0171
///
/// and where the output is no terminal
///
///     Epoch 1/2 - 525/525 - 3s - 5ms/step - accuracy: 0.9132 - loss: 0.0561 - val_accuracy: 0.9741 - val_loss: 0.0171
///
/// Times are given by the caller, in seconds since the epoch's beginning.
class Progress {
 public:
  Progress(std::ostream& out, const ProgressStyle& style) : out_(out), style_(style) {}
  ~Progress() { interrupt(); }  // an error's line begins at the left

  /// `first_step`: the steps of the epoch that were done before, in a run that goes on from a saved state.
  void begin_epoch(int epoch, int epochs, int64_t steps, int64_t first_step = 0);

  /// Whether an update would be written: on a terminal, at most twenty a second. Allocates nothing.
  bool due(double seconds) const { return style_.terminal && seconds >= next_; }

  /// The running line: steps done and their metrics so far.
  void update(int64_t step, double seconds, const MetricValues& values);
  /// The final line, which stays: the whole epoch's seconds, and those a training step took.
  void end_epoch(double seconds, double seconds_per_step, const MetricValues& values);
  /// Leaves the running line as it is, so that something else can be written.
  void interrupt();

 private:
  std::ostream& out_;
  ProgressStyle style_;
  int epoch_ = 0, epochs_ = 0;
  int64_t steps_ = 0, first_step_ = 0;
  double next_ = 0;
  bool line_open_ = false;
};

/// "5ms/step", as Keras prints it.
std::string format_step_time(double seconds);
/// " - accuracy: 0.9132 - loss: 5.6100e-04"
std::string format_metrics(const MetricValues& values);

}  // namespace kiln
