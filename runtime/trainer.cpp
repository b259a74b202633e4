#include "trainer.h"

#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "average.h"
#include "error.h"
#include "finite.h"
#include "initialize.h"

namespace kiln {
namespace {

const kiln_program& required(const kiln_program* program, const kiln_model& model) {
  if (!program) throw UsageError(fmt::format("graph {} has no train(): there is nothing to train", model.name));
  return *program;
}

// Tells whether a state is gone on with on the rows that it was made with.
std::string checksum(const Dataset& dataset) {
  uint32_t crc = libdeflate_crc32(0, dataset.pixels.data(), dataset.pixels.size());
  crc = libdeflate_crc32(crc, dataset.labels.data(), dataset.labels.size() * sizeof(int32_t));
  return fmt::format("{} rows, CRC-32 {:08x}", dataset.rows, crc);
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Steps after which the state is looked at and kept: the copy costs a thousandth of them, and finding the step that
/// was not finite repeats no more.
constexpr int64_t kKeptSteps = 256;
/// How often a run goes on after steps that were not finite without kKeptSteps good ones in a row between.
constexpr int64_t kRecoveries = 10;
/// More steps than a state can honestly count: kernels are given them in 32 bits.
constexpr int64_t kMostSteps = 2'000'000'000;

/// Refuses options of a state, of the right types, that no flag could have given: nothing looks at them later.
void check_options(const nlohmann::json& options, const std::string& path) {
  const auto refuse = [&](const std::string& option, const std::string& expected) {
    throw DataError(fmt::format("{}: its option {} is {}, expected {}; the file is damaged or of another version", path,
                                option, options.at(option).dump(), expected));
  };
  const nlohmann::json defaults = TrainingOptions();
  for (const auto& [option, low, high] : kOptionRanges) {
    if (!options.contains(option)) continue;
    const auto value = options.at(option).get<double>();
    const bool not_given = value == 0 && defaults.at(option) == 0;
    if (!not_given && !(value >= low && value <= high))
      refuse(option, fmt::format("a number from {} to {}", low, high));
  }
  for (const auto& [option, names] : kOptionNames) {
    if (!options.contains(option)) continue;
    if (std::find(names.begin(), names.end(), options.at(option)) == names.end())
      refuse(option, fmt::format("one of {}", join(names)));
  }
  const std::string augment = options.value("augment", "");
  try {
    if (!augment.empty()) parse_augmentation(augment);
  } catch (const UsageError& error) {
    throw DataError(fmt::format("{}: its option augment is wrong: {}", path, error.what()));
  }
}

float* floats(uint8_t* bytes) { return reinterpret_cast<float*>(bytes); }

}  // namespace

Split split_rows(const TrainingOptions& options, int64_t rows, int32_t batch) {
  Split split;
  if (options.overfit > 0) {
    split.training.count = std::min(options.overfit, rows);
    split.validation = split.training;
  } else {
    split.training.count = static_cast<int64_t>(std::floor(static_cast<double>(rows) * (1 - options.validation_split)));
    split.validation = {split.training.count, rows - split.training.count};
  }
  if (options.fast_dev_run) {
    split.training.count = std::min<int64_t>(split.training.count, 3 * batch);
    split.validation.count = std::min<int64_t>(split.validation.count, 3 * batch);
  }
  if (split.training.count < 1) {
    throw UsageError(
        fmt::format("--validation-split {} leaves none of the {} rows to train on", options.validation_split, rows));
  }
  return split;
}

Trainer::Trainer(const kiln_model& model, Context& context, const TrainingOptions& options, const Dataset& dataset)
    : model_(model),
      context_(context),
      options_(options),
      dataset_(dataset),
      split_(split_rows(options, dataset.rows, required(model.train, model).batch)),
      augmentation_(options.augment.empty() ? Augmentation{} : parse_augmentation(options.augment)),
      schedule_{.kind = parse_schedule(options.schedule), .rate = options.learning_rate},
      data_checksum_(checksum(dataset)),
      train_(*model.train, context),
      evaluate_(required(model.evaluate, model), context),
      train_loader_(train_, dataset),
      evaluate_loader_(evaluate_, dataset),
      state_(model.state_bytes),
      average_(options.average > 0 ? model.weight_bytes : 0),
      best_(options.restore_best ? model.weight_bytes : 0),
      kept_{AlignedMemory(model.state_bytes), AlignedMemory(options.average > 0 ? model.weight_bytes : 0), {}},
      outputs_(static_cast<size_t>(model.train->output_count)),
      epoch_steps_((split_.training.count + model.train->batch - 1) / model.train->batch),
      sums_(*model.train) {
  if (options_.label_smoothing > 0 && model.smooths_labels == 0) {
    throw UsageError(fmt::format(
        "--label-smoothing: the loss of {} is no cross-entropy, or has a label_smoothing of its own", model.name));
  }
  if (options_.monitor.empty()) options_.monitor = split_.validation.count > 0 ? "val_loss" : "loss";
  std::vector<std::string> names;
  for (size_t i = 0; i < sums_.size(); ++i) names.push_back(sums_.name(i));
  if (split_.validation.count > 0) {
    for (int32_t i = 0; i < model.evaluate->output_count; ++i)
      names.push_back(fmt::format("val_{}", model.evaluate->outputs[i].name));
  }
  if (std::find(names.begin(), names.end(), options_.monitor) == names.end()) {
    throw UsageError(fmt::format("--monitor {}: this run measures {}", options_.monitor, join(names)));
  }
  if (!larger_is_better(options_.monitor)) {
    throw UsageError(
        fmt::format("--monitor {}: nobody says whether more of it is better; call it ..._error or ..._score in the "
                    "graph file",
                    options_.monitor));
  }
  initialize(model, static_cast<uint64_t>(options.seed), state_.data());
  if (options_.average > 0) std::memcpy(average_.data(), state_.data(), model.weight_bytes);
}

bool Trainer::run_epoch(const AfterStep& after_step, const Note& note) {
  rows_ = shuffled_rows(split_.training.first, split_.training.count, static_cast<uint64_t>(options_.seed),
                        static_cast<uint64_t>(epoch_));
  if (step_ == 0) {
    sums_.clear();
    keep(kept_);
  }
  while (step_ < epoch_steps_) {
    if (!train_step().empty()) {
      recover(note);
      continue;
    }
    ++step_;
    ++good_steps_;
    const bool stop = !after_step() && step_ < epoch_steps_;
    const bool due = step_ == epoch_steps_ || step_ - kept_.step >= kKeptSteps;
    if (stop || due) {
      // A loss can be finite while a weight is not: an activation may hide it.
      if (!non_finite_state().empty()) {
        recover(note);
        continue;
      }
      // What a roll-back leads to must not depend on where a run was stopped.
      if (due || options_.on_nan != "rollback") keep(kept_);
    }
    if (stop) return false;
  }
  if (sums_.rows() == 0) {  // its loss would be called 0, the best there is
    throw NonFiniteError(fmt::format("every batch of epoch {} was skipped; a lower --learning-rate than {} may help",
                                     epoch_ + 1, options_.learning_rate));
  }
  validate();
  ++epoch_;
  step_ = 0;

  const auto monitored =
      std::find_if(values_.begin(), values_.end(), [&](const auto& v) { return v.first == options_.monitor; });
  const double value = monitored->second;
  const bool better =
      best_epoch_ == 0 || (*larger_is_better(options_.monitor) ? value > best_value_ : value < best_value_);
  if (better) {
    best_epoch_ = epoch_;
    best_value_ = value;
    if (options_.restore_best) std::memcpy(best_.data(), weights(), model_.weight_bytes);
  }
  waiting_ = better ? 0 : waiting_ + 1;
  return true;
}

void Trainer::keep(Kept& kept) const {
  std::memcpy(kept.state.data(), state_.data(), model_.state_bytes);
  if (options_.average > 0) std::memcpy(kept.average.data(), average_.data(), model_.weight_bytes);
  kept.sums = sums_.sums();
  kept.rows = sums_.rows();
  kept.step = step_;
  kept.good_steps = good_steps_;
}

void Trainer::go_back(const Kept& kept) {
  std::memcpy(state_.data(), kept.state.data(), model_.state_bytes);
  if (options_.average > 0) std::memcpy(average_.data(), kept.average.data(), model_.weight_bytes);
  sums_.restore(kept.sums, kept.rows);
  step_ = kept.step;
  good_steps_ = kept.good_steps;
}

void Trainer::load_batch(BatchLoader& loader) {
  const int64_t batch = model_.train->batch, first = step_ * batch;
  loader.load(&rows_[static_cast<size_t>(first)], static_cast<int32_t>(std::min(batch, split_.training.count - first)),
              augmentation_.any() ? &augmentation_ : nullptr, static_cast<uint64_t>(options_.seed),
              static_cast<uint64_t>(epoch_ * split_.training.count + first));
}

double Trainer::next_rate() const {
  const int64_t step = epoch_ * epoch_steps_ + step_;
  return rate_factor_ * learning_rate(schedule_, step, options_.epochs * epoch_steps_, epoch_steps_);
}

kiln_scalars Trainer::scalars() const {
  const int64_t step = epoch_ * epoch_steps_ + step_, batch = model_.train->batch;
  return {.learning_rate = static_cast<float>(next_rate()),
          .step = static_cast<int32_t>(steps_before_ + step),
          .seed = options_.seed,
          .count = static_cast<int32_t>(std::min(batch, split_.training.count - step_ * batch)),
          .label_smoothing = static_cast<float>(options_.label_smoothing)};
}

/// Runs the step that is next; says what of its outputs is not finite, if any is.
std::string Trainer::train_step() {
  const int64_t step = epoch_ * epoch_steps_ + step_;
  Profiler::time(profiler_, Profiler::Phase::load_batch, [&] { load_batch(train_loader_); });
  rate_ = next_rate();
  const kiln_scalars given = scalars();
  if (profiler_ != nullptr)
    profiler_->run(train_, state_.data(), given);
  else
    train_.run(state_.data(), given);
  for (size_t i = 0; i < outputs_.size(); ++i) {
    outputs_[i] = *train_.real(model_.train->outputs[i]);
    if (!is_finite(outputs_[i])) return fmt::format("{} is {}", sums_.name(i), outputs_[i]);
  }
  sums_.add(outputs_.data(), given.count);
  if (options_.average > 0) {
    Profiler::time(profiler_, Profiler::Phase::average_weights, [&] {
      update_average(&context_, floats(average_.data()), floats(state_.data()), model_.weight_bytes / sizeof(float),
                     average_decay(options_.average, step));
    });
  }
  return {};
}

/// Says which parameter, statistic or optimizer state holds values that are not finite, if one does.
std::string Trainer::non_finite_state() const {
  if (all_finite(floats(state_.data()), model_.state_bytes / sizeof(float))) return {};
  for (int32_t i = 0; i < model_.parameter_count; ++i) {
    const kiln_parameter& parameter = model_.parameters[i];
    if (!all_finite(floats(state_.data() + parameter.offset), parameter.count))
      return fmt::format("{} holds values that are not finite", parameter.name);
  }
  return {};  // bytes between the parameters, which nobody reads
}

/// Steps repeat bit for bit. So the ones that are fine are not watched closely; when something is not finite, those
/// since the kept state run again with the whole state looked at after each, and the first bad one kernel by kernel.
void Trainer::recover(const Note& note) {
  Profiler* const profiler = std::exchange(profiler_, nullptr);
  go_back(kept_);
  Kept before{AlignedMemory(model_.state_bytes), AlignedMemory(options_.average > 0 ? model_.weight_bytes : 0), {}};
  std::string found;
  while (step_ < epoch_steps_) {
    keep(before);
    found = train_step();
    if (found.empty()) found = non_finite_state();
    if (!found.empty()) break;
    ++step_;
    ++good_steps_;
  }
  go_back(before);
  profiler_ = profiler;
  if (found.empty()) throw Failure("a step was not finite, but is when repeated: the processor or memory is faulty");

  const std::string what =
      fmt::format("{} at step {} of epoch {}{}", found, step_ + 1, epoch_ + 1, first_non_finite_kernel());
  go_back(before);
  if (good_steps_ >= kKeptSteps) recoveries_ = 0;
  if (options_.on_nan == "stop" || ++recoveries_ > kRecoveries) {
    recoveries_ = 0;  // who goes on from here tries anew
    keep(kept_);
    throw NonFiniteError(fmt::format("{}; a lower --learning-rate than {} may help", what, options_.learning_rate));
  }
  if (options_.on_nan == "skip") {
    ++step_;
    good_steps_ = 0;
    keep(kept_);
    if (note) note(what + "; its batch is skipped");
  } else {
    go_back(kept_);
    kept_.good_steps = good_steps_ = 0;
    rate_factor_ /= 2;
    if (note) {
      note(fmt::format("{}; back to step {} with {} of the learning rate", what, step_ + 1, rate_factor_));
    }
  }
}

/// ": NAME (FILE:LINE) computes the first such value" of the step that is next. Spoils the state.
std::string Trainer::first_non_finite_kernel() {
  const kiln_program& program = *model_.train;
  Executor executor(program, context_);  // of its own, without what the bad step left in the arena
  BatchLoader loader(executor, dataset_);
  load_batch(loader);
  executor.prepare(state_.data());
  const kiln_scalars given = scalars();
  const auto bad = [&] {
    return count_non_finite(floats(executor.arena()), program.arena_bytes / sizeof(float)) +
           count_non_finite(floats(state_.data()), model_.state_bytes / sizeof(float));
  };
  const size_t before = bad();
  for (int k = program.prepared_count; k < program.kernel_count; ++k) {
    executor.run_kernel(k, state_.data(), given);
    const kiln_kernel& kernel = program.kernels[k];
    if (bad() > before)
      return fmt::format(": {} ({}:{}) computes the first such value", kernel.name, kernel.file, kernel.line);
  }
  return {};
}

void Trainer::validate() {
  values_ = metric_values(sums_);
  if (split_.validation.count == 0) return;
  const kiln_program& program = *model_.evaluate;
  evaluate_.prepare(weights());
  MetricSums sums(program);
  std::vector<int32_t> rows(static_cast<size_t>(split_.validation.count));
  std::iota(rows.begin(), rows.end(), static_cast<int32_t>(split_.validation.first));
  std::vector<float> outputs(static_cast<size_t>(program.output_count));
  for (int64_t first = 0; first < split_.validation.count; first += program.batch) {
    const auto count = static_cast<int32_t>(std::min<int64_t>(program.batch, split_.validation.count - first));
    evaluate_loader_.load(&rows[static_cast<size_t>(first)], count);
    evaluate_.run(weights(), {.learning_rate = 0,
                              .step = 0,
                              .seed = options_.seed,
                              .count = count,
                              .label_smoothing = static_cast<float>(options_.label_smoothing)});
    for (size_t i = 0; i < outputs.size(); ++i) {
      outputs[i] = *evaluate_.real(program.outputs[i]);
      if (!is_finite(outputs[i])) {
        throw NonFiniteError(fmt::format("val_{} is {} after epoch {}; a lower --learning-rate than {} may help",
                                         sums.name(i), outputs[i], epoch_ + 1, options_.learning_rate));
      }
    }
    sums.add(outputs.data(), count);
  }
  for (auto& value : metric_values(sums, "val_")) values_.push_back(std::move(value));
}

uint8_t* Trainer::weights() const { return options_.average > 0 ? average_.data() : state_.data(); }

uint8_t* Trainer::final_weights() const { return options_.restore_best && best_epoch_ > 0 ? best_.data() : weights(); }

int64_t Trainer::final_epoch() const { return options_.restore_best && best_epoch_ > 0 ? best_epoch_ : epoch_; }

Checkpoint Trainer::model(const uint8_t* weights) const {
  Checkpoint result;
  result.weights.assign(weights, weights + model_.weight_bytes);
  result.progress = {{"epoch", epoch_}, {"values", values_}};
  return result;
}

Checkpoint Trainer::checkpoint() const {
  Checkpoint result;
  const bool earlier = saves_kept();
  const uint8_t *state = (earlier ? kept_.state : state_).data(),
                *average = (earlier ? kept_.average : average_).data();
  const int64_t step = earlier ? kept_.step : step_;
  result.weights.assign(state, state + model_.weight_bytes);
  result.optimizer.assign(state + model_.weight_bytes, state + model_.state_bytes);
  if (options_.average > 0) result.average.assign(average, average + model_.weight_bytes);
  if (options_.restore_best && best_epoch_ > 0) result.best.assign(best_.data(), best_.data() + model_.weight_bytes);
  // What another tool would go on at: not at what these schedules end with.
  const bool ends_low =
      schedule_.kind == LearningRateSchedule::Kind::cosine || schedule_.kind == LearningRateSchedule::Kind::one_cycle;
  // The random numbers have no state of their own: seed, epoch and step determine them.
  result.progress = {{"options", options_},
                     {"data", data_checksum_},
                     {"epoch", epoch_},
                     {"step", step},
                     {"sums", earlier ? kept_.sums : sums_.sums()},
                     {"rows", earlier ? kept_.rows : sums_.rows()},
                     {"values", values_},
                     {"rate", rate_},
                     {"best_epoch", best_epoch_},
                     {"best_value", best_value_},
                     {"waiting", waiting_},
                     {"rate_factor", rate_factor_},
                     {"steps_before", steps_before_},
                     {"recoveries", recoveries_},
                     {"good_steps", earlier ? kept_.good_steps : good_steps_},
                     {"steps", steps_before_ + epoch_ * epoch_steps_ + step},
                     {"learning_rate", ends_low || rate_ <= 0 ? options_.learning_rate : rate_}};
  return result;
}

TrainingOptions Trainer::saved_options(const Checkpoint& checkpoint, const std::string& path) {
  if (!checkpoint.progress.contains("options")) {
    throw DataError(fmt::format(
        "{}: a model to predict with, not the state of a training run: --resume takes a run's last.kiln", path));
  }
  try {
    const nlohmann::json& options = checkpoint.progress.at("options");
    require_whole_numbers(options, TrainingOptions());
    auto result = options.get<TrainingOptions>();  // throws where a type is wrong
    check_options(options, path);
    return result;
  } catch (const nlohmann::json::exception&) {
    throw DataError(
        fmt::format("{}: the training options in it cannot be read: it is of another version of Kiln", path));
  }
}

void Trainer::begin_with(const Checkpoint& checkpoint, const std::string& path) {
  const std::vector<uint8_t>& weights = checkpoint.average.empty() ? checkpoint.weights : checkpoint.average;
  const std::vector<uint8_t>& optimizer = checkpoint.optimizer;
  if (weights.size() != model_.weight_bytes ||
      (!optimizer.empty() && optimizer.size() != model_.state_bytes - model_.weight_bytes))
    throw DataError(fmt::format("{}: lacks a part of the graph's state", path));
  std::memcpy(state_.data(), weights.data(), weights.size());
  if (options_.average > 0) std::memcpy(average_.data(), weights.data(), weights.size());
  if (!optimizer.empty()) std::memcpy(state_.data() + model_.weight_bytes, optimizer.data(), optimizer.size());
  const nlohmann::json steps = checkpoint.progress.value("steps", nlohmann::json(0));
  if (!steps.is_number_integer() || steps < 0 || steps > kMostSteps)
    throw DataError(fmt::format("{}: its count of steps is none", path));
  steps_before_ = optimizer.empty() ? 0 : steps.get<int64_t>();
}

void Trainer::restore(const Checkpoint& checkpoint, const std::string& path) {
  const nlohmann::json& progress = checkpoint.progress;
  const auto fits = [](const std::vector<uint8_t>& region, const AlignedMemory& memory, uint64_t bytes) {
    return memory.size() == 0 || region.empty() || region.size() == bytes;
  };
  try {
    if (const std::string data = progress.at("data"); data != data_checksum_) {
      throw DataError(
          fmt::format("{}: made with other data, of {}; {} has {}", path, data, dataset_.origin, data_checksum_));
    }
    require_whole_numbers(progress, {{"epoch", 0},
                                     {"step", 0},
                                     {"best_epoch", 0},
                                     {"waiting", 0},
                                     {"steps_before", 0},
                                     {"rows", 0},
                                     {"recoveries", 0},
                                     {"good_steps", 0}});
    epoch_ = progress.at("epoch");
    step_ = progress.at("step");
    best_epoch_ = progress.at("best_epoch");
    best_value_ = progress.at("best_value");
    waiting_ = progress.at("waiting");
    rate_ = progress.at("rate");
    rate_factor_ = progress.at("rate_factor");
    steps_before_ = progress.value("steps_before", int64_t{0});  // absent in older states, as the next two are
    recoveries_ = progress.value("recoveries", int64_t{0});
    good_steps_ = progress.value("good_steps", int64_t{0});
    values_ = progress.at("values").get<MetricValues>();
    sums_.restore(progress.at("sums").get<std::vector<double>>(), progress.at("rows"));
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("{}: the training progress in it cannot be read: {}", path, error.what()));
  }
  const bool average_missing = options_.average > 0 && checkpoint.average.empty();
  const bool best_missing = options_.restore_best && best_epoch_ > 0 && checkpoint.best.empty();
  if (checkpoint.weights.size() != model_.weight_bytes ||
      checkpoint.optimizer.size() != model_.state_bytes - model_.weight_bytes || average_missing || best_missing ||
      !fits(checkpoint.average, average_, model_.weight_bytes) || !fits(checkpoint.best, best_, model_.weight_bytes) ||
      epoch_ < 0 || epoch_ > kMostSteps || step_ < 0 || steps_before_ < 0 || steps_before_ > kMostSteps ||
      step_ >= epoch_steps_ || recoveries_ < 0 || recoveries_ > kRecoveries || good_steps_ < 0 ||
      good_steps_ > kMostSteps || sums_.sums().size() != sums_.size()) {
    throw DataError(fmt::format("{}: lacks a part of the state that its own options ask for", path));
  }
  std::memcpy(state_.data(), checkpoint.weights.data(), checkpoint.weights.size());
  if (!checkpoint.optimizer.empty()) {
    std::memcpy(state_.data() + model_.weight_bytes, checkpoint.optimizer.data(), checkpoint.optimizer.size());
  }
  if (options_.average > 0) std::memcpy(average_.data(), checkpoint.average.data(), checkpoint.average.size());
  if (options_.restore_best && best_epoch_ > 0)
    std::memcpy(best_.data(), checkpoint.best.data(), checkpoint.best.size());
  keep(kept_);
}

}  // namespace kiln
