#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "batches.h"
#include "checkpoint.h"
#include "executor.h"
#include "learning_rate.h"
#include "metrics.h"
#include "profiler.h"
#include "training_options.h"

namespace kiln {

/// Consecutive rows of a data set.
struct RowRange {
  int64_t first = 0, count = 0;
};

/// Keras's split: the last rows validate. `overfit` and `fast_dev_run` take fewer of them. Throws UsageError when no
/// row is left to train on.
struct Split {
  RowRange training, validation;
};
Split split_rows(const TrainingOptions& options, int64_t rows, int32_t batch);

/// Trains one model. Its whole state is a Checkpoint: a trainer restored from one goes on bit for bit as the one it was
/// taken from. Data set, model and context must outlive it.
class Trainer {
 public:
  /// Throws UsageError when model, options and data do not go together.
  Trainer(const kiln_model& model, Context& context, const TrainingOptions& options, const Dataset& dataset);

  /// Takes over the state saved in `path`. Throws DataError when it is none of a training run with this data.
  void restore(const Checkpoint& checkpoint, const std::string& path);
  Checkpoint checkpoint() const;
  /// Steps of the current epoch that checkpoint() has done: step(); but while the epoch may roll back, those of the
  /// state that it would go back to, at most 256 fewer.
  int64_t saved_step() const { return saves_kept() ? kept_.step : step_; }
  /// Begins with the weights of another model or state of the graph, and with its optimizer's state and count of steps
  /// where it has them (model_file.h): before the first step.
  void begin_with(const Checkpoint& checkpoint, const std::string& path);

  /// From now on the training steps run under the profiler, which must be of the model's train program; null ends that.
  /// Their bits stay the same.
  void profile(Profiler* profiler) { profiler_ = profiler; }

  /// The options a checkpoint was made with. Throws DataError when it is a model to predict with only, or when an
  /// option is none that a flag can give.
  static TrainingOptions saved_options(const Checkpoint& checkpoint, const std::string& path);

  /// Called after each step; false stops the epoch there.
  using AfterStep = std::function<bool()>;
  /// Called with one line when options().on_nan went on after a step that was not finite.
  using Note = std::function<void(const std::string&)>;
  /// Trains the rest of the epoch and validates; false when it was stopped before. A step allocates nothing and starts
  /// no thread. Where loss, gradient or weights become infinite or not a number, the state goes back to what it was
  /// before that step, and options().on_nan decides: "stop" throws NonFiniteError naming step, epoch and the kernel and
  /// graph line that made the first such value; "skip" goes on with the next batch; "rollback" goes back to a state
  /// some steps earlier with half the learning rate. The eleventh time without 256 good steps in a row between, counted
  /// across epochs and interruptions, throws too, as does an epoch whose batches were all skipped.
  bool run_epoch(const AfterStep& after_step, const Note& note = {});

  /// All epochs done, or stopped early.
  bool done() const { return epoch_ >= options_.epochs || stopped_early(); }
  bool stopped_early() const { return options_.early_stopping > 0 && waiting_ >= options_.early_stopping; }

  const TrainingOptions& options() const { return options_; }
  const Split& split() const { return split_; }
  int64_t epoch() const { return epoch_; }  // epochs done
  int64_t step() const { return step_; }    // steps done of the current one
  int64_t epoch_steps() const { return epoch_steps_; }
  const MetricSums& sums() const { return sums_; }  // of the current epoch so far
  /// Training's and validation's values of the epoch done last.
  const MetricValues& values() const { return values_; }
  /// The learning rate of its last step.
  double rate() const { return rate_; }
  /// Whether the epoch done last is the best so far, by the monitored value.
  bool improved() const { return best_epoch_ == epoch_; }
  int64_t best_epoch() const { return best_epoch_; }  // counted from 1
  double best_value() const { return best_value_; }

  /// The weights to predict with, now: the average's where there is one.
  uint8_t* weights() const;
  /// Those of the run's end: the best epoch's with restore_best.
  uint8_t* final_weights() const;
  /// The epoch that they are of.
  int64_t final_epoch() const;
  /// A model to predict with.
  Checkpoint model(const uint8_t* weights) const;

 private:
  /// A state that was finite, some steps ago.
  struct Kept {
    AlignedMemory state, average;
    std::vector<double> sums;
    int64_t rows = 0, step = 0, good_steps = 0;
  };
  bool saves_kept() const { return options_.on_nan == "rollback" && step_ > 0; }
  void keep(Kept& kept) const;
  void go_back(const Kept& kept);

  void load_batch(BatchLoader& loader);
  double next_rate() const;
  kiln_scalars scalars() const;
  std::string train_step();
  std::string non_finite_state() const;
  void recover(const Note& note);
  std::string first_non_finite_kernel();
  void validate();

  const kiln_model& model_;
  Context& context_;
  TrainingOptions options_;
  const Dataset& dataset_;
  Split split_;
  Augmentation augmentation_;
  LearningRateSchedule schedule_;
  std::string data_checksum_;

  Executor train_, evaluate_;
  BatchLoader train_loader_, evaluate_loader_;
  AlignedMemory state_, average_, best_;
  Kept kept_;
  std::vector<float> outputs_;  // of one step

  int64_t epoch_steps_, epoch_ = 0, step_ = 0;
  int64_t steps_before_ = 0;   // that the optimizer had done when the run began with another model's state
  std::vector<int32_t> rows_;  // of the current epoch, in their order
  MetricSums sums_;
  MetricValues values_;
  double rate_ = 0, best_value_ = 0;
  double rate_factor_ = 1;  // halved by each roll-back
  int64_t best_epoch_ = 0, waiting_ = 0;
  int64_t recoveries_ = 0;  // without kKeptSteps good steps in a row between
  int64_t good_steps_ = 0;  // since the last of them
  Profiler* profiler_ = nullptr;
};

}  // namespace kiln
