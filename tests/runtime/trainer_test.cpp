// The training loop on a small hand-written model: what it measures, when it stops, and that its states are its own
// bits.
#include "trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <span>
#include <thread>
#include <utility>

#include "allocation_counter.h"
#include "error.h"
#include "fake_model.h"
#include "learning_rate.h"
#include "predictor.h"
#include "runtime/data/errors.h"
#include "text_predicates.h"

namespace kiln {
namespace {

bool go_on() { return true; }

// Of 100 rows 79 train and 21 validate, in batches of 6: both with a smaller last one.
TrainingOptions options(int32_t epochs = 4) {
  TrainingOptions result;
  result.epochs = epochs;
  result.learning_rate = 0.1;
  result.validation_split = 0.21;
  return result;
}

void finish(Trainer& trainer) {
  while (!trainer.done()) trainer.run_epoch(go_on);
}

void expect_same_state(const Checkpoint& a, const Checkpoint& b) {
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.optimizer, b.optimizer);
  EXPECT_EQ(a.average, b.average);
  EXPECT_EQ(a.best, b.best);
  EXPECT_EQ(a.progress.dump(), b.progress.dump());
}

double value_of(const Trainer& trainer, const std::string& name) {
  for (const auto& [found, value] : trainer.values()) {
    if (found == name) return value;
  }
  ADD_FAILURE() << "no value " << name;
  return 0;
}

class TrainerTest : public testing::Test {
 protected:
  const kiln_model& model_ = small_model();
  Dataset dataset_ = learnable_rows(model_, 100);
  Context context_{1};
};

TEST_F(TrainerTest, TwoInOneProcessDoNotDisturbEachOther) {
  const auto train = [&](int32_t seed) {
    Context context(3);
    TrainingOptions all = options();
    all.seed = seed;
    Trainer trainer(model_, context, all, dataset_);
    finish(trainer);
    return trainer.checkpoint();
  };
  const Checkpoint first = train(1), second = train(2);
  EXPECT_NE(first.weights, second.weights);
  for (int repeat = 0; repeat < 10; ++repeat) {
    Checkpoint beside;
    std::thread other([&] { beside = train(2); });
    expect_same_state(train(1), first);
    other.join();
    expect_same_state(beside, second);
  }
}

TEST_F(TrainerTest, SplitsAsKeras) {
  TrainingOptions options;
  options.validation_split = 0.2;
  const Split split = split_rows(options, 42000, 64);
  EXPECT_EQ(split.training.first, 0);
  EXPECT_EQ(split.training.count, 33600);
  EXPECT_EQ(split.validation.first, 33600);
  EXPECT_EQ(split.validation.count, 8400);
  options.overfit = 32;
  EXPECT_EQ(split_rows(options, 42000, 64).training.count, 32);
  EXPECT_EQ(split_rows(options, 42000, 64).validation.first, 0);
  EXPECT_EQ(split_rows(options, 42000, 64).validation.count, 32);
  options.overfit = 0;
  options.fast_dev_run = true;
  EXPECT_EQ(split_rows(options, 42000, 64).training.count, 192);
  EXPECT_EQ(split_rows(options, 42000, 64).validation.first, 33600);
  options.validation_split = 0.99;
  EXPECT_THROW(split_rows(options, 10, 64), UsageError);
}

TEST_F(TrainerTest, Learns) {
  Trainer trainer(model_, context_, options(30), dataset_);
  trainer.run_epoch(go_on);
  const double first = value_of(trainer, "val_loss");
  finish(trainer);
  EXPECT_LT(value_of(trainer, "val_loss"), 0.5 * first);
  const Predictions predictions = predict(model_, context_, trainer.final_weights(), dataset_);
  EXPECT_GE(count_correct(predictions.labels, dataset_.labels), 95);
}

TEST_F(TrainerTest, ValidationIsTheMeanOverRowsThoughTheLastBatchIsSmaller) {
  Trainer trainer(model_, context_, options(1), dataset_);
  ASSERT_NE(trainer.split().validation.count % model_.evaluate->batch, 0);
  ASSERT_NE(trainer.split().training.count % model_.train->batch, 0);
  trainer.run_epoch(go_on);
  EXPECT_EQ(trainer.sums().rows(), trainer.split().training.count);
  // The same, a row at a time.
  Executor executor(*model_.evaluate, context_);
  executor.prepare(trainer.weights());
  BatchLoader loader(executor, dataset_);
  double sum = 0;
  for (int32_t row = 79; row < 100; ++row) {
    loader.load(&row, 1);
    executor.run(trainer.weights(), {.learning_rate = 0, .step = 0, .seed = 1, .count = 1, .label_smoothing = 0});
    sum += *executor.real(*executor.find_output("loss"));
  }
  EXPECT_NEAR(value_of(trainer, "val_loss"), sum / 21, 1e-6);  // f32 sums in another order
}

TEST_F(TrainerTest, ValidatesTheAverageWhereThereIsOne) {
  TrainingOptions all = options(1);
  all.average = 0.9;
  Trainer trainer(model_, context_, all, dataset_);
  trainer.run_epoch(go_on);
  const auto validated = [&](const std::vector<uint8_t>& weights) {
    Executor executor(*model_.evaluate, context_);
    BatchLoader loader(executor, dataset_);
    std::vector<uint8_t> copy = weights;
    executor.prepare(copy.data());
    MetricSums sums(*model_.evaluate);
    for (int32_t first = 79; first < 100; first += 6) {
      std::vector<int32_t> rows;
      for (int32_t row = first; row < std::min(100, first + 6); ++row) rows.push_back(row);
      const auto count = static_cast<int32_t>(rows.size());
      loader.load(rows.data(), count);
      executor.run(copy.data(), {.learning_rate = 0, .step = 0, .seed = 1, .count = count, .label_smoothing = 0});
      const float means[] = {*executor.real(*executor.find_output("loss")),
                             *executor.real(*executor.find_output("accuracy"))};
      sums.add(means, count);
    }
    return sums.mean(0);
  };
  EXPECT_EQ(value_of(trainer, "val_loss"), validated(trainer.checkpoint().average));
  EXPECT_NE(value_of(trainer, "val_loss"), validated(trainer.checkpoint().weights));
}

TEST_F(TrainerTest, GoesOnBitForBitFromAnEpochsEnd) {
  TrainingOptions all = options();
  all.average = 0.9;
  all.restore_best = true;
  all.schedule = "cosine";
  Trainer whole(model_, context_, all, dataset_);
  finish(whole);

  Trainer first(model_, context_, all, dataset_);
  first.run_epoch(go_on);
  first.run_epoch(go_on);
  const Checkpoint saved = first.checkpoint();
  Trainer second(model_, context_, Trainer::saved_options(saved, "last.kiln"), dataset_);
  second.restore(saved, "last.kiln");
  EXPECT_EQ(second.epoch(), 2);
  finish(second);
  expect_same_state(whole.checkpoint(), second.checkpoint());
}

TEST_F(TrainerTest, GoesOnBitForBitFromTheMiddleOfAnEpoch) {
  TrainingOptions all = options();
  all.average = 0.9;
  all.restore_best = true;
  all.augment = "rotation=20,shift=1";
  Trainer whole(model_, context_, all, dataset_);
  finish(whole);
  for (const int64_t stop : {2, 14, 15, 33}) {  // 14 steps an epoch; a stop after its last one takes effect in the next
    Trainer first(model_, context_, all, dataset_);
    int64_t steps = 0;
    while (first.run_epoch([&] { return ++steps < stop; })) {
    }
    ASSERT_GT(first.step(), 0);
    const Checkpoint saved = first.checkpoint();
    Trainer second(model_, context_, Trainer::saved_options(saved, "last.kiln"), dataset_);
    second.restore(saved, "last.kiln");
    finish(second);
    expect_same_state(whole.checkpoint(), second.checkpoint());
    EXPECT_EQ(whole.values(), second.values());
  }
}

TEST_F(TrainerTest, HasTheSameBitsAtAnyNumberOfThreads) {
  TrainingOptions all = options();
  all.average = 0.9;
  Trainer one(model_, context_, all, dataset_);
  finish(one);
  for (int threads : {2, 3}) {
    Context context(threads);
    Trainer other(model_, context, all, dataset_);
    finish(other);
    expect_same_state(one.checkpoint(), other.checkpoint());
  }
}

TEST_F(TrainerTest, AStepAllocatesNothing) {
  TrainingOptions all = options();
  all.average = 0.9;
  all.augment = "rotation=20";
  Context context(2);
  Trainer trainer(model_, context, all, dataset_);
  int64_t before = 0;
  const Trainer::AfterStep check = [&] {
    const int64_t now = allocation_count();
    EXPECT_TRUE(trainer.step() == 1 || now == before) << "step " << trainer.step() << " of epoch " << trainer.epoch();
    before = allocation_count();
    return true;
  };
  while (!trainer.done()) trainer.run_epoch(check);
  EXPECT_GT(before, 0);
}

TEST_F(TrainerTest, AnotherSeedIsAnotherRun) {
  Trainer one(model_, context_, options(), dataset_);
  TrainingOptions other_options = options();
  other_options.seed = 2;
  Trainer other(model_, context_, other_options, dataset_);
  EXPECT_NE(one.checkpoint().weights, other.checkpoint().weights);
}

TEST_F(TrainerTest, KnowsTheBestEpochByAccuracyAndByLoss) {
  for (const std::string monitor : {"val_accuracy", "val_loss"}) {
    TrainingOptions all = options(8);
    all.learning_rate = 0.01;  // slowly, so that the first epoch is not the best
    all.monitor = monitor;
    Trainer trainer(model_, context_, all, dataset_);
    const double sign = monitor == "val_loss" ? -1 : 1;
    double best = 0;
    int64_t best_epoch = 0;
    while (!trainer.done()) {
      trainer.run_epoch(go_on);
      const double value = value_of(trainer, monitor);
      const bool better = best_epoch == 0 || sign * value > sign * best;
      if (better) best = value, best_epoch = trainer.epoch();
      EXPECT_EQ(trainer.improved(), better);
    }
    EXPECT_GT(best_epoch, 1);
    EXPECT_EQ(trainer.best_epoch(), best_epoch);
    EXPECT_EQ(trainer.best_value(), best);
  }
}

TEST_F(TrainerTest, StopsEarlyAfterThePatience) {
  TrainingOptions all = options(1000);
  all.monitor = "val_accuracy";  // cannot become better than 1
  all.early_stopping = 3;
  Trainer trainer(model_, context_, all, dataset_);
  std::vector<double> values;
  while (!trainer.done()) {
    trainer.run_epoch(go_on);
    values.push_back(value_of(trainer, "val_accuracy"));
  }
  EXPECT_TRUE(trainer.stopped_early());
  EXPECT_EQ(trainer.epoch(), trainer.best_epoch() + 3);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_LE(values[i], trainer.best_value());
    if (static_cast<int64_t>(i) + 1 < trainer.best_epoch()) {
      EXPECT_LT(values[i], trainer.best_value());
    }
  }
}

TEST_F(TrainerTest, GoesOnWaitingForABetterEpoch) {
  TrainingOptions all = options(1000);
  all.monitor = "val_accuracy";
  all.early_stopping = 3;
  Trainer trainer(model_, context_, all, dataset_);
  Checkpoint saved;
  while (!trainer.done()) {
    trainer.run_epoch(go_on);
    if (trainer.epoch() == trainer.best_epoch() + 2) saved = trainer.checkpoint();
  }
  Trainer second(model_, context_, all, dataset_);
  second.restore(saved, "last.kiln");
  EXPECT_FALSE(second.done());
  second.run_epoch(go_on);
  EXPECT_TRUE(second.stopped_early());
  expect_same_state(trainer.checkpoint(), second.checkpoint());
}

TEST_F(TrainerTest, DistortsARowAnewInEachEpoch) {
  TrainingOptions all = options(3);
  all.overfit = 1;
  all.augment = "rotation=20,shift=1";
  Trainer trainer(model_, context_, all, dataset_);
  // What the model saw, from its moving mean: mean = 0.9 * mean + 0.1 * pixels.
  const kiln_parameter& mean = model_.parameters[2];
  ASSERT_STREQ(mean.name, "mean");
  const auto read = [&] {
    const float* values = reinterpret_cast<const float*>(trainer.weights() + mean.offset);
    return std::vector<float>(values, values + mean.count);
  };
  std::vector<std::vector<float>> seen;
  while (!trainer.done()) {
    const std::vector<float> before = read();
    trainer.run_epoch(go_on);
    std::vector<float> pixels = read();
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = (pixels[i] - 0.9F * before[i]) / 0.1F;
    seen.push_back(pixels);
  }
  for (size_t a = 0; a < seen.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      float difference = 0;
      for (size_t i = 0; i < seen[a].size(); ++i) difference = std::max(difference, std::abs(seen[a][i] - seen[b][i]));
      EXPECT_GT(difference, 0.05F) << "epochs " << a << " and " << b;  // rounding is 1e-5
    }
  }
}

TEST_F(TrainerTest, EndsWithTheBestWeightsWhenAsked) {
  TrainingOptions all = options(1000);
  all.monitor = "val_accuracy";
  all.early_stopping = 3;
  all.restore_best = true;
  Trainer trainer(model_, context_, all, dataset_);
  std::vector<uint8_t> best;
  while (!trainer.done()) {
    trainer.run_epoch(go_on);
    if (trainer.improved()) best = trainer.model(trainer.weights()).weights;
  }
  EXPECT_EQ(trainer.model(trainer.final_weights()).weights, best);
  EXPECT_NE(trainer.model(trainer.weights()).weights, best);
}

TEST_F(TrainerTest, AveragesTheWeightsAfterEachStep) {
  TrainingOptions all = options(2);
  all.average = 0.8;  // above the ramp (1 + t) / (10 + t) for the first steps, below it later
  Trainer trainer(model_, context_, all, dataset_);
  const size_t count = model_.weight_bytes / sizeof(float);
  const auto weights = [&] {
    std::vector<float> values(count);
    const Checkpoint checkpoint = trainer.checkpoint();
    std::memcpy(values.data(), checkpoint.weights.data(), model_.weight_bytes);
    return values;
  };
  std::vector<float> initial = weights();
  std::vector<double> expected(initial.begin(), initial.end());
  int step = 0;
  const auto follow = [&] {
    const double decay = std::min(0.8, (1.0 + step) / (10.0 + step));
    const std::vector<float> now = weights();
    for (size_t i = 0; i < count; ++i) expected[i] = decay * expected[i] + (1 - decay) * static_cast<double>(now[i]);
    ++step;
    return true;
  };
  while (!trainer.done()) trainer.run_epoch(follow);
  const float* average = reinterpret_cast<const float*>(trainer.weights());
  for (size_t i = 0; i < count; ++i) {
    EXPECT_NEAR(average[i], expected[i], 1e-6 * (1 + std::abs(expected[i])));  // f32 against f64
  }
  EXPECT_NE(std::memcmp(average, trainer.checkpoint().weights.data(), model_.weight_bytes), 0);
}

TEST_F(TrainerTest, ALossThatIsNotFiniteNamesStepEpochAndKernel) {
  Trainer trainer(model_, context_, options(), dataset_);
  trainer.run_epoch(go_on);
  Checkpoint checkpoint = trainer.checkpoint();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(checkpoint.weights.data(), &nan, sizeof nan);
  trainer.restore(checkpoint, "last.kiln");
  try {
    trainer.run_epoch(go_on);
    FAIL() << "no error";
  } catch (const NonFiniteError& error) {
    EXPECT_STREQ(error.what(),
                 "loss is nan at step 1 of epoch 2: train (fake_model.cpp:1) computes the first such value; a lower "
                 "--learning-rate than 0.1 may help");
  }
}

/// The small model with a kernel that spoils a weight in step 6, after the loss was computed, unless the rate is low.
/// What each call of the step was given: the numbers, the rows' labels and the first row's pixels.
struct Given {
  kiln_scalars scalars;
  std::vector<int32_t> labels;
  std::vector<float> pixels;
};

class RecordedTrainerTest : public TrainerTest {
 protected:
  RecordedTrainerTest() {
    given.clear();
    program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
      record(*small_model().train, arena, *scalars);
      small_model().train->step(context, arena, state, scalars);
    };
    evaluation_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
      evaluated = *scalars;
      small_model().evaluate->step(context, arena, state, scalars);
    };
    recorded_.train = &program_;
    recorded_.evaluate = &evaluation_;
    recorded_.smooths_labels = 1;
  }

  static void record(const kiln_program& program, const uint8_t* arena, const kiln_scalars& scalars) {
    Given& now = given.emplace_back(Given{scalars, {}, {}});
    for (int i = 0; i < program.input_count; ++i) {
      const kiln_value& input = program.inputs[i];
      if (input.element == KILN_I32) {
        const auto* labels = reinterpret_cast<const int32_t*>(arena + input.offset);
        now.labels.assign(labels, labels + scalars.count);
      } else {
        const auto* pixels = reinterpret_cast<const float*>(arena + input.offset);
        for (uint64_t k = 0; k < input.count; ++k)
          now.pixels.push_back(pixels[k * static_cast<uint64_t>(program.lanes)]);
      }
    }
  }

  void train(const TrainingOptions& all) {
    given.clear();
    Trainer trainer(recorded_, context_, all, dataset_);
    finish(trainer);
  }

  inline static std::vector<Given> given;
  inline static kiln_scalars evaluated;
  kiln_program program_ = *small_model().train, evaluation_ = *small_model().evaluate;
  kiln_model recorded_ = small_model();
};

TEST_F(RecordedTrainerTest, EachStepHasTheRateOfItsSchedule) {
  for (const char* name : {"constant", "step", "cosine", "one-cycle"}) {
    TrainingOptions all = options(12);
    all.schedule = name;
    train(all);
    ASSERT_EQ(given.size(), 12U * 14U);  // 79 rows in batches of 6
    const LearningRateSchedule schedule = {.kind = parse_schedule(name), .rate = all.learning_rate};
    for (size_t i = 0; i < given.size(); ++i) {
      const double rate = learning_rate(schedule, static_cast<int64_t>(i), static_cast<int64_t>(given.size()), 14);
      EXPECT_EQ(given[i].scalars.learning_rate, static_cast<float>(rate)) << name << ", step " << i;
      EXPECT_EQ(given[i].scalars.step, static_cast<int32_t>(i));
    }
  }
}

TEST_F(RecordedTrainerTest, LabelSmoothingAndSeedReachTheKernels) {
  TrainingOptions all = options(1);
  all.label_smoothing = 0.125F;
  all.seed = 7;
  train(all);
  EXPECT_EQ(given.back().scalars.label_smoothing, 0.125F);
  EXPECT_EQ(given.back().scalars.seed, 7);
  EXPECT_EQ(evaluated.label_smoothing, 0.125F);
  EXPECT_EQ(evaluated.seed, 7);
}

TEST_F(RecordedTrainerTest, EachEpochAndSeedHasAnOrderOfItsOwn) {
  for (size_t i = 0; i < dataset_.labels.size(); ++i)
    dataset_.pixels[i * 16] = static_cast<uint8_t>(i);  // which row it is
  const auto orders = [&](int32_t seed) {
    TrainingOptions all = options(2);
    all.seed = seed;
    train(all);
    std::vector<std::vector<int32_t>> epochs(2);
    for (size_t i = 0; i < given.size(); ++i)
      epochs[i / 14].insert(epochs[i / 14].end(), given[i].labels.begin(), given[i].labels.end());
    return epochs;
  };
  const auto first = orders(1), other = orders(2);
  EXPECT_NE(first[0], first[1]);
  EXPECT_NE(first[0], other[0]);
  std::vector<int32_t> rows(dataset_.labels.begin(), dataset_.labels.begin() + 79);
  std::sort(rows.begin(), rows.end());
  for (std::vector<int32_t> epoch : {first[0], first[1], other[1]}) {
    std::sort(epoch.begin(), epoch.end());
    EXPECT_EQ(epoch, rows);
  }
}

TEST_F(RecordedTrainerTest, NoTwoRowsOfAnEpochAreDistortedAlike) {
  for (size_t i = 16; i < dataset_.pixels.size(); ++i)
    dataset_.pixels[i] = dataset_.pixels[i % 16];  // all rows are one
  TrainingOptions all = options(2);
  all.augment = "rotation=40,shift=1";
  train(all);
  std::set<std::vector<float>> seen;
  for (const Given& step : given) seen.insert(step.pixels);
  EXPECT_EQ(seen.size(), given.size());
}

TEST_F(RecordedTrainerTest, ALoadedOptimizersStepsGoOn) {
  Trainer first(recorded_, context_, options(1), dataset_);
  finish(first);
  Checkpoint state = first.checkpoint();
  state.progress["steps"] = 14;
  given.clear();
  Trainer second(recorded_, context_, options(1), dataset_);
  second.begin_with(state, "state");
  second.run_epoch(go_on);
  EXPECT_EQ(given.front().scalars.step, 14);
  EXPECT_EQ(given.back().scalars.step, 27);
}

// A run that goes on in another tool, or begins with the model, is not to crawl at what the schedule ended with.
TEST_F(TrainerTest, AScheduleThatEndsLowLeavesItsPeakBehind) {
  for (const auto& [schedule, rate] : {std::pair("one-cycle", 0.1), {"cosine", 0.1}, {"step", 0.01}}) {
    TrainingOptions all = options(11);
    all.schedule = schedule;
    Trainer trainer(model_, context_, all, dataset_);
    finish(trainer);
    EXPECT_DOUBLE_EQ(trainer.checkpoint().progress.at("learning_rate"), rate) << schedule;
  }
}

TEST_F(TrainerTest, WhichWayIsBetterMustBeKnown) {
  kiln_program train = *model_.train;
  std::vector<kiln_value> outputs(train.outputs, train.outputs + train.output_count);
  for (kiln_value& output : outputs) {
    if (output.name == std::string_view("accuracy")) output.name = "slack";
  }
  train.outputs = outputs.data();
  kiln_model model = model_;
  model.train = &train;
  TrainingOptions all = options();
  all.monitor = "slack";
  try {
    Trainer trainer(model, context_, all, dataset_);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "--monitor slack: nobody says whether more of it is better; call it ..._error or ..._score in the "
                 "graph file");
  }
}

class PoisonedTrainerTest : public TrainerTest {
 protected:
  PoisonedTrainerTest() {
    poisoned_.train = &program_;
    program_.kernels = kernels_;
    program_.kernel_count = 2;
    program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
      small_model().train->step(context, arena, state, scalars);
      poison(context, arena, state, scalars);
    };
  }

  static void poison(void*, uint8_t*, uint8_t* state, const kiln_scalars* scalars) {
    if (scalars->step == 5 && scalars->learning_rate > 0.06F)
      reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
  }

  TrainingOptions options_with(const std::string& on_nan) const {
    TrainingOptions all = options();
    all.on_nan = on_nan;
    return all;
  }

  const kiln_kernel kernels_[2] = {{"train", "fake_model.cpp", 1, 0, "by hand", 1, 1, small_model().train->step},
                                   {"poison", "graphs/mine.cpp", 7, 0, "by hand", 1, 1, poison}};
  kiln_program program_ = *small_model().train;
  kiln_model poisoned_ = small_model();
  std::vector<std::string> notes_;
  const Trainer::Note note_ = [this](const std::string& text) { notes_.push_back(text); };
};

TEST_F(PoisonedTrainerTest, StopsWithTheStateBeforeTheStep) {
  Trainer trainer(poisoned_, context_, options(), dataset_);
  try {
    trainer.run_epoch(go_on, note_);
    FAIL() << "no error";
  } catch (const NonFiniteError& error) {
    EXPECT_STREQ(
        error.what(),
        "kernel holds values that are not finite at step 6 of epoch 1: poison (graphs/mine.cpp:7) computes the "
        "first such value; a lower --learning-rate than 0.1 may help");
  }
  EXPECT_EQ(trainer.step(), 5);
  Trainer healthy(model_, context_, options(), dataset_);
  EXPECT_FALSE(healthy.run_epoch([&] { return healthy.step() < 5; }));
  EXPECT_EQ(trainer.checkpoint().weights, healthy.checkpoint().weights);
  EXPECT_EQ(trainer.checkpoint().optimizer, healthy.checkpoint().optimizer);
  EXPECT_EQ(trainer.checkpoint().progress, healthy.checkpoint().progress);
  EXPECT_TRUE(notes_.empty());
}

TEST_F(PoisonedTrainerTest, SkipsTheBatchAndGoesOn) {
  Trainer trainer(poisoned_, context_, options_with("skip"), dataset_);
  EXPECT_TRUE(trainer.run_epoch(go_on, note_));
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_EQ(
      notes_[0],
      "kernel holds values that are not finite at step 6 of epoch 1: poison (graphs/mine.cpp:7) computes the first "
      "such value; its batch is skipped");
  // The sixth batch of 6 rows counts for nothing.
  Trainer healthy(model_, context_, options(), dataset_);
  EXPECT_TRUE(healthy.run_epoch(go_on));
  EXPECT_EQ(trainer.sums().rows() + 6, healthy.sums().rows());
  EXPECT_NE(trainer.checkpoint().weights, healthy.checkpoint().weights);
}

TEST_F(PoisonedTrainerTest, RollsBackWithHalfTheRate) {
  Trainer trainer(poisoned_, context_, options_with("rollback"), dataset_);
  EXPECT_TRUE(trainer.run_epoch(go_on, note_));
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_PRED2(matches, notes_[0], "kernel holds .*; back to step 1 with 0.5 of the learning rate");
  // As if it had begun with that rate.
  TrainingOptions half = options();
  half.learning_rate /= 2;
  Trainer healthy(model_, context_, half, dataset_);
  EXPECT_TRUE(healthy.run_epoch(go_on));
  EXPECT_EQ(trainer.checkpoint().weights, healthy.checkpoint().weights);
  // A run that goes on keeps the lower rate.
  Trainer resumed(poisoned_, context_, options_with("rollback"), dataset_);
  resumed.restore(trainer.checkpoint(), "last.kiln");
  EXPECT_TRUE(resumed.run_epoch(go_on, note_));
  EXPECT_TRUE(healthy.run_epoch(go_on));
  EXPECT_EQ(resumed.checkpoint().weights, healthy.checkpoint().weights);
}

TEST_F(PoisonedTrainerTest, LongEpochsGoBackAFewHundredStepsAtMost) {
  dataset_ = learnable_rows(model_, 3000);  // 395 steps, the state before the 257th being kept
  program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    if (scalars->step == 300 && scalars->learning_rate > 0.06F)
      reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
  };
  Trainer trainer(poisoned_, context_, options_with("rollback"), dataset_);
  EXPECT_TRUE(trainer.run_epoch(go_on, note_));
  ASSERT_EQ(notes_.size(), 1U);
  // No kernel of the table does what the step did: none is blamed.
  EXPECT_EQ(notes_[0],
            "kernel holds values that are not finite at step 301 of epoch 1; back to step 257 with 0.5 of the learning "
            "rate");
}

TEST_F(PoisonedTrainerTest, ARunThatMayRollBackGoesOnBitForBit) {
  dataset_ = learnable_rows(model_, 3000);  // 395 steps an epoch
  program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    // Each roll-back halves the rate, and the next failure needs the one that is left.
    for (const auto& [step, rate] : {std::pair(100, 0.06F), {120, 0.04F}, {300, 0.02F}, {395 + 50, 0.01F}}) {
      if (scalars->step == step && scalars->learning_rate > rate)
        reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
    }
  };
  TrainingOptions all = options_with("rollback");
  all.epochs = 2;
  all.average = 0.9;
  Trainer whole(poisoned_, context_, all, dataset_);
  while (!whole.done()) whole.run_epoch(go_on, note_);
  ASSERT_EQ(notes_.size(), 4U);
  EXPECT_EQ(whole.checkpoint().progress.at("rate_factor"), 1 / 16.0);

  // Stopped after so many steps, those that a roll-back or an interruption repeats included, and after as many again.
  for (const int64_t interval : {90, 110, 230, 310, 320, 480, 700}) {
    Checkpoint saved;
    const auto resumed = [&] {
      auto trainer = std::make_unique<Trainer>(poisoned_, context_, all, dataset_);
      if (!saved.weights.empty()) trainer->restore(saved, "last.kiln");
      return trainer;
    };
    const bool once = interval < 256 + 45;  // of fewer steps nothing would be left after each interruption
    std::unique_ptr<Trainer> trainer;
    int64_t stops = 0;
    for (bool stopped = true; stopped; stops += stopped) {
      trainer = resumed();
      stopped = false;
      int64_t steps = 0;
      while (!stopped && !trainer->done()) {
        stopped = !trainer->run_epoch([&] { return ++steps < interval || (once && stops > 0); });
        // A state may be saved in any step.
        saved = trainer->checkpoint();
        EXPECT_EQ(saved.progress.at("step"), trainer->saved_step());
        EXPECT_LE(trainer->step() - trainer->saved_step(), 256);
      }
    }
    EXPECT_GE(stops, 1) << "every " << interval << " steps";
    expect_same_state(whole.checkpoint(), trainer->checkpoint());
    EXPECT_EQ(whole.values(), trainer->values());
  }
}

TEST_F(PoisonedTrainerTest, AStopInTheSameProcessChangesNoRollBack) {
  TrainingOptions all = options_with("rollback");
  Trainer whole(poisoned_, context_, all, dataset_), stopped(poisoned_, context_, all, dataset_);
  EXPECT_TRUE(whole.run_epoch(go_on));
  EXPECT_FALSE(stopped.run_epoch([&] { return stopped.step() < 3; }));
  EXPECT_EQ(stopped.step(), 3);
  EXPECT_EQ(stopped.saved_step(), 0);
  EXPECT_TRUE(stopped.run_epoch(go_on));
  expect_same_state(whole.checkpoint(), stopped.checkpoint());
}

TEST_F(PoisonedTrainerTest, CountsFailuresAcrossEpochsAndInterruptions) {
  program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    if (scalars->step % 14 == 5) reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
  };
  TrainingOptions all = options_with("skip");
  all.epochs = 20;
  // One batch of each epoch is skipped, with 13 good steps between.
  for (const bool interrupted : {false, true}) {
    notes_.clear();
    auto trainer = std::make_unique<Trainer>(poisoned_, context_, all, dataset_);
    const auto run = [&] {
      while (!trainer->done()) {
        const bool complete = trainer->run_epoch([&] { return !interrupted || trainer->step() != 9; }, note_);
        if (!interrupted && complete) continue;
        const Checkpoint saved = trainer->checkpoint();
        trainer = std::make_unique<Trainer>(poisoned_, context_, all, dataset_);
        trainer->restore(saved, "last.kiln");
      }
    };
    EXPECT_THROW(run(), NonFiniteError);
    EXPECT_EQ(notes_.size(), 10U);
    EXPECT_EQ(trainer->epoch(), 10);
    EXPECT_EQ(trainer->step(), 5);  // the state before that step, to try anew from
    EXPECT_EQ(trainer->checkpoint().progress.at("recoveries"), 0);
  }
}

TEST_F(PoisonedTrainerTest, ForgetsFailuresAfter256GoodSteps) {
  // One epoch has 13 more steps than those that make a failure forgotten, the other 13 fewer.
  for (const auto& [rows, forgotten] : {std::pair(2051, true), {1848, false}}) {
    dataset_ = learnable_rows(model_, rows);
    notes_.clear();
    static int32_t epoch_steps = 0;
    program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
      small_model().train->step(context, arena, state, scalars);
      if (scalars->step % epoch_steps == 5) reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
    };
    TrainingOptions all = options_with("skip");
    all.epochs = 12;
    Trainer trainer(poisoned_, context_, all, dataset_);
    epoch_steps = static_cast<int32_t>(trainer.epoch_steps());
    ASSERT_EQ(epoch_steps, forgotten ? 270 : 244);
    const auto run = [&] {
      while (!trainer.done()) trainer.run_epoch(go_on, note_);
    };
    if (forgotten)
      EXPECT_NO_THROW(run());
    else
      EXPECT_THROW(run(), NonFiniteError);
    EXPECT_EQ(notes_.size(), forgotten ? 12U : 10U);
  }
}

TEST_F(PoisonedTrainerTest, AnEpochWhoseBatchesWereAllSkippedIsNoGoodOne) {
  program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    if (scalars->step >= 4) reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
  };
  dataset_ = learnable_rows(model_, 24);
  TrainingOptions all = options_with("skip");
  all.validation_split = 0;  // which would find nothing wrong with the weights
  Trainer trainer(poisoned_, context_, all, dataset_);
  ASSERT_EQ(trainer.epoch_steps(), 4);
  EXPECT_TRUE(trainer.run_epoch(go_on, note_));
  try {
    trainer.run_epoch(go_on, note_);
    FAIL() << "no error";
  } catch (const NonFiniteError& error) {
    EXPECT_STREQ(error.what(), "every batch of epoch 2 was skipped; a lower --learning-rate than 0.1 may help");
  }
  EXPECT_EQ(notes_.size(), 4U);
  EXPECT_EQ(trainer.best_epoch(), 1);
}

TEST_F(PoisonedTrainerTest, GivesUpRollingBackBeforeTheStep) {
  program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    if (scalars->step == 5) reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
  };
  Trainer trainer(poisoned_, context_, options_with("rollback"), dataset_);
  EXPECT_THROW(trainer.run_epoch(go_on, note_), NonFiniteError);
  EXPECT_EQ(notes_.size(), 10U);
  EXPECT_EQ(trainer.step(), 5);
  EXPECT_EQ(trainer.saved_step(), 5);  // the state that the error's message is about
}

TEST_F(PoisonedTrainerTest, FindsWhatTheLastStepOfAnEpochSpoils) {
  program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    if (scalars->step == 13) reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
  };
  TrainingOptions all = options_with("skip");
  all.average = 0.9;
  Trainer trainer(poisoned_, context_, all, dataset_);
  EXPECT_TRUE(trainer.run_epoch(go_on));  // nobody takes the note
  Trainer healthy(model_, context_, all, dataset_);
  EXPECT_FALSE(healthy.run_epoch([&] { return healthy.step() < 13; }));
  EXPECT_EQ(trainer.checkpoint().weights, healthy.checkpoint().weights);
  EXPECT_EQ(trainer.checkpoint().average, healthy.checkpoint().average);
}

TEST_F(PoisonedTrainerTest, RollsBackThoughNobodyTakesTheNote) {
  Trainer trainer(poisoned_, context_, options_with("rollback"), dataset_);
  EXPECT_TRUE(trainer.run_epoch(go_on));
  EXPECT_EQ(trainer.checkpoint().progress.at("rate_factor"), 0.5);
}

TEST_F(PoisonedTrainerTest, AStepThatDoesNotRepeatIsTheProcessorsFault) {
  static bool spoilt = false;
  spoilt = false;
  program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    if (!std::exchange(spoilt, true)) reinterpret_cast<float*>(state)[3] = std::numeric_limits<float>::infinity();
  };
  Trainer trainer(poisoned_, context_, options_with("skip"), dataset_);
  try {
    trainer.run_epoch(go_on, note_);
    FAIL() << "no error";
  } catch (const Failure& error) {
    EXPECT_STREQ(error.what(), "a step was not finite, but is when repeated: the processor or memory is faulty");
  }
}

TEST_F(PoisonedTrainerTest, DoesNotGoOnForEver) {
  Trainer trainer(model_, context_, options_with("skip"), dataset_);
  Checkpoint checkpoint = trainer.checkpoint();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(checkpoint.weights.data(), &nan, sizeof nan);
  trainer.restore(checkpoint, "last.kiln");
  EXPECT_THROW(trainer.run_epoch(go_on, note_), NonFiniteError);
  EXPECT_EQ(notes_.size(), 10U);
}

TEST_F(TrainerTest, AStateOfOtherDataIsRefused) {
  Trainer trainer(model_, context_, options(), dataset_);
  const Checkpoint checkpoint = trainer.checkpoint();
  const Dataset other = learnable_rows(model_, 100, 2);
  Trainer second(model_, context_, options(), other);
  try {
    second.restore(checkpoint, "runs/small-1/last.kiln");
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_PRED2(
        matches, error.what(),
        "runs/small-1/last.kiln: made with other data, of 100 rows, CRC-32 [0-9a-f]+; learnable rows has 100 rows, "
        "CRC-32 [0-9a-f]+");
  }
}

TEST_F(TrainerTest, AStateThatLacksAPartIsRefused) {
  TrainingOptions all = options();
  all.average = 0.9;
  Trainer trainer(model_, context_, all, dataset_);
  Checkpoint checkpoint = trainer.checkpoint();
  checkpoint.average.clear();
  EXPECT_THROW(trainer.restore(checkpoint, "x"), DataError);
  EXPECT_THROW(Trainer::saved_options(trainer.model(trainer.weights()), "x"), DataError);
}

TEST_F(TrainerTest, OptionsThatNoFlagCanGiveAreRefused) {
  Checkpoint state = Trainer(model_, context_, options(), dataset_).checkpoint();
  const nlohmann::json whole = state.progress.at("options");
  const auto error_of = [&](const char* option, const nlohmann::json& value) {
    state.progress["options"] = whole;
    state.progress["options"][option] = value;
    return data_error([&] { Trainer::saved_options(state, "x"); });
  };
  const auto refusal = [](const std::string& option, const std::string& value, const std::string& expected) {
    return "x: its option " + option + " is " + value + ", expected " + expected +
           "; the file is damaged or of another version";
  };
  EXPECT_EQ(error_of("validation_split", -50000), refusal("validation_split", "-50000", "a number from 0 to 0.99"));
  EXPECT_EQ(error_of("digits", -5), refusal("digits", "-5", "a number from 64 to 10000000"));
  EXPECT_EQ(error_of("seed", int64_t{1'000'000'000'000'000}),  // which would wrap
            refusal("seed", "1000000000000000", "a number from 0 to 2147483647"));
  EXPECT_EQ(error_of("on_nan", "xyz"), refusal("on_nan", "\"xyz\"", "one of stop, skip, rollback"));
  EXPECT_EQ(error_of("schedule", "sine"), refusal("schedule", "\"sine\"", "one of constant, step, cosine, one-cycle"));
  EXPECT_EQ(error_of("augment", "rotation=x"),
            "x: its option augment is wrong: --augment: rotation takes a number from 0 to 180, got 'x'");
  for (const char* option : {"epochs", "learning_rate"})  // 0 says of others that they were not given
    EXPECT_PRED2(contains, error_of(option, 0), "is 0, expected a number from 1");
  for (const char* option : {"seed", "label_smoothing", "average", "early_stopping", "overfit", "digits"})
    EXPECT_EQ(error_of(option, 0), "no error") << option;
  for (const OptionRange& range : kOptionRanges) {
    const bool whole_number = whole.at(range.option).is_number_integer();
    const auto value = [&](double number) {
      return whole_number ? nlohmann::json(static_cast<int64_t>(number)) : nlohmann::json(number);
    };
    EXPECT_EQ(error_of(range.option, value(range.low)), "no error") << range.option;
    EXPECT_EQ(error_of(range.option, value(range.high)), "no error") << range.option;
    EXPECT_PRED2(contains, error_of(range.option, value(-1)), "is -1") << range.option;
    EXPECT_PRED2(contains, error_of(range.option, value(2 * range.high + 1)), "expected a number") << range.option;
  }
  // The wrong type is another version's.
  const std::string other = "x: the training options in it cannot be read: it is of another version of Kiln";
  EXPECT_EQ(error_of("epochs", "3"), other);
  EXPECT_EQ(error_of("validation_split", true), other);
}

TEST_F(TrainerTest, SmoothsOnlyLabelsThatItsLossLeavesOpen) {
  TrainingOptions all = options();
  all.label_smoothing = 0.1;
  EXPECT_THROW(Trainer(model_, context_, all, dataset_), UsageError);
}

TEST_F(TrainerTest, AStateWhosePartsDoNotFitIsRefused) {
  TrainingOptions all = options();
  all.average = 0.9;
  all.restore_best = true;
  Trainer trainer(model_, context_, all, dataset_);
  trainer.run_epoch(go_on);
  const Checkpoint whole = trainer.checkpoint();
  const auto error_of = [&](const std::function<void(Checkpoint&)>& spoil) {
    Checkpoint checkpoint = whole;
    spoil(checkpoint);
    return data_error([&] { Trainer(model_, context_, all, dataset_).restore(checkpoint, "x"); });
  };
  ASSERT_EQ(error_of([](Checkpoint&) {}), "no error");
  ASSERT_EQ(error_of([](Checkpoint& c) {  // an older one
              for (const char* name : {"recoveries", "good_steps", "steps_before"}) c.progress.erase(name);
            }),
            "no error");
  const std::function<void(Checkpoint&)> spoils[] = {
      [](Checkpoint& c) { c.weights.pop_back(); },
      [](Checkpoint& c) { c.optimizer.push_back(0); },
      [](Checkpoint& c) { c.optimizer.clear(); },
      [](Checkpoint& c) { c.average.pop_back(); },
      [](Checkpoint& c) { c.best.clear(); },
      [](Checkpoint& c) { c.best.push_back(0); },
      [](Checkpoint& c) { c.progress["epoch"] = -1; },
      [](Checkpoint& c) { c.progress["step"] = -1; },
      [](Checkpoint& c) { c.progress["step"] = 14; },  // an epoch has so many, counted from 0
      [](Checkpoint& c) { c.progress["steps_before"] = -1; },
      [](Checkpoint& c) { c.progress["recoveries"] = -1; },
      [](Checkpoint& c) { c.progress["recoveries"] = 11; },  // which would have ended the run
      [](Checkpoint& c) { c.progress["good_steps"] = -1; },
      [](Checkpoint& c) { c.progress["good_steps"] = int64_t{2'000'000'001}; },
      [](Checkpoint& c) { c.progress["sums"].push_back(0.5); },
  };
  for (const auto& spoil : spoils) {
    EXPECT_EQ(error_of(spoil), "x: lacks a part of the state that its own options ask for")
        << "spoil " << &spoil - spoils;
  }
  EXPECT_PRED2(contains, error_of([](Checkpoint& c) { c.progress.erase("rate"); }),
               "x: the training progress in it cannot be read: ");
}

TEST_F(TrainerTest, AStateWithoutOptimizerComesBack) {
  kiln_model plain = model_;  // whose optimizer keeps nothing
  plain.parameter_count = 3;
  plain.state_bytes = plain.weight_bytes;
  Trainer first(plain, context_, options(), dataset_), second(plain, context_, options(), dataset_);
  Checkpoint checkpoint = first.checkpoint();
  EXPECT_TRUE(checkpoint.optimizer.empty());
  checkpoint.weights[0] ^= 1;
  second.restore(checkpoint, "x");
  expect_same_state(second.checkpoint(), checkpoint);
}

TEST_F(TrainerTest, BeginsWithTheAverageAndTheOptimizerOfAnotherRun) {
  TrainingOptions all = options();
  all.average = 0.9;
  Trainer trainer(model_, context_, all, dataset_);
  trainer.run_epoch(go_on);
  const Checkpoint state = trainer.checkpoint();
  Trainer averaged(model_, context_, all, dataset_), plain(model_, context_, options(), dataset_);
  averaged.begin_with(state, "x");
  EXPECT_EQ(averaged.checkpoint().weights, state.average);
  EXPECT_EQ(averaged.checkpoint().average, state.average);
  EXPECT_EQ(averaged.checkpoint().optimizer, state.optimizer);
  EXPECT_EQ(averaged.epoch(), 0);
  EXPECT_EQ(averaged.checkpoint().progress.at("steps"), 14);  // for the optimizer, the steps go on
  // Weights alone are a beginning, too; without the optimizer's state there is nothing to count steps for.
  Checkpoint weights;
  weights.weights = state.weights;
  weights.progress = {{"steps", 14}};
  plain.begin_with(weights, "x");
  EXPECT_EQ(plain.checkpoint().weights, state.weights);
  EXPECT_EQ(plain.checkpoint().optimizer, Trainer(model_, context_, options(), dataset_).checkpoint().optimizer);
  EXPECT_EQ(plain.checkpoint().progress.at("steps"), 0);
}

TEST_F(TrainerTest, DoesNotBeginWithHalfAState) {
  Trainer trainer(model_, context_, options(), dataset_);
  const Checkpoint whole = trainer.checkpoint();
  const auto error_of = [&](const std::function<void(Checkpoint&)>& spoil) {
    Checkpoint checkpoint = whole;
    spoil(checkpoint);
    return data_error([&] { trainer.begin_with(checkpoint, "x"); });
  };
  EXPECT_EQ(error_of([](Checkpoint&) {}), "no error");
  EXPECT_EQ(error_of([](Checkpoint& c) { c.weights.pop_back(); }), "x: lacks a part of the graph's state");
  EXPECT_EQ(error_of([](Checkpoint& c) { c.optimizer.pop_back(); }), "x: lacks a part of the graph's state");
  for (const nlohmann::json& steps :
       {nlohmann::json("3"), nlohmann::json(1.5), nlohmann::json(-1), nlohmann::json(int64_t{2'000'000'001})})
    EXPECT_EQ(error_of([&](Checkpoint& c) { c.progress["steps"] = steps; }), "x: its count of steps is none") << steps;
}

TEST_F(TrainerTest, AGraphWithoutTrainCannotBeTrained) {
  kiln_model model = model_;
  model.train = model.evaluate = nullptr;
  try {
    Trainer(model, context_, options(), dataset_);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "graph small has no train(): there is nothing to train");
  }
}

TEST_F(TrainerTest, AValidationThatIsNotFiniteEndsTheEpoch) {
  kiln_program evaluate = *model_.evaluate;
  evaluate.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().evaluate->step(context, arena, state, scalars);
    *reinterpret_cast<float*>(arena + small_model().evaluate->outputs[1].offset) =
        std::numeric_limits<float>::infinity();
  };
  kiln_model model = model_;
  model.evaluate = &evaluate;
  Trainer trainer(model, context_, options(), dataset_);
  try {
    trainer.run_epoch(go_on);
    FAIL() << "no error";
  } catch (const NonFiniteError& error) {
    EXPECT_STREQ(error.what(), "val_accuracy is inf after epoch 1; a lower --learning-rate than 0.1 may help");
  }
}

TEST_F(TrainerTest, MonitorsOnlyWhatItMeasures) {
  TrainingOptions all = options();
  all.monitor = "val_f1";
  EXPECT_THROW(Trainer(model_, context_, all, dataset_), UsageError);
  all.monitor = "val_loss";
  all.validation_split = 0;
  EXPECT_THROW(Trainer(model_, context_, all, dataset_), UsageError);
  all.monitor = "";
  EXPECT_EQ(Trainer(model_, context_, all, dataset_).options().monitor, "loss");
}

TEST_F(TrainerTest, ValidatesWithTheWeightsOfTheEpoch) {
  Trainer trainer(model_, context_, options(), dataset_);
  finish(trainer);
  // Another executor, which has seen no other weights.
  const kiln_program& program = *model_.evaluate;
  Executor executor(program, context_);
  executor.prepare(trainer.final_weights());
  BatchLoader loader(executor, dataset_);
  MetricSums sums(program);
  const RowRange rows = trainer.split().validation;
  for (int64_t first = 0; first < rows.count; first += program.batch) {
    const auto count = static_cast<int32_t>(std::min<int64_t>(program.batch, rows.count - first));
    std::vector<int32_t> batch(static_cast<size_t>(count));
    std::iota(batch.begin(), batch.end(), static_cast<int32_t>(rows.first + first));
    loader.load(batch.data(), count);
    executor.run(trainer.final_weights(),
                 {.learning_rate = 0, .step = 0, .seed = 0, .count = count, .label_smoothing = 0});
    const float values[] = {*executor.real(program.outputs[0]), *executor.real(program.outputs[1])};
    sums.add(values, count);
  }
  for (const auto& [name, value] : metric_values(sums, "val_")) {
    const auto own = std::find_if(trainer.values().begin(), trainer.values().end(),
                                  [name = name](const auto& v) { return v.first == name; });
    ASSERT_NE(own, trainer.values().end());
    EXPECT_EQ(own->second, value) << name;
  }
}

TEST_F(TrainerTest, PredictsAFewRowsOneByOne) {
  ASSERT_EQ(rows_one_by_one(model_), 2);  // 280 / 100, rounded down
  Trainer trainer(model_, context_, options(), dataset_);
  finish(trainer);
  static int batches = 0, singles = 0;
  batches = singles = 0;
  kiln_program many = *model_.predict, one = *model_.predict_one;
  many.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    ++batches;
    small_model().predict->step(context, arena, state, scalars);
  };
  one.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    ++singles;
    EXPECT_EQ(scalars->count, 1);
    small_model().predict_one->step(context, arena, state, scalars);
  };
  kiln_model model = model_;
  model.predict = &many;
  model.predict_one = &one;
  Dataset some = dataset_;
  const auto calls = [&](int64_t rows) {
    batches = singles = 0;
    some.rows = rows;
    predict(model, context_, trainer.final_weights(), some);
    return std::pair(batches, singles);
  };
  EXPECT_EQ(calls(1), std::pair(0, 1));
  EXPECT_EQ(calls(2), std::pair(0, 2));
  EXPECT_EQ(calls(3), std::pair(1, 0));  // as a batch
  EXPECT_EQ(calls(4), std::pair(1, 0));
  EXPECT_EQ(calls(10), std::pair(2, 2));
  EXPECT_EQ(calls(11), std::pair(3, 0));
  model.predict_one = nullptr;
  EXPECT_EQ(calls(10), std::pair(3, 0));
}

TEST_F(TrainerTest, PredictsAnyNumberOfRows) {
  Trainer trainer(model_, context_, options(), dataset_);
  finish(trainer);
  const Predictions all = predict(model_, context_, trainer.final_weights(), dataset_);
  const int64_t batch = model_.predict->batch;
  for (int64_t rows : {int64_t{0}, int64_t{1}, batch - 1, batch, batch + 1, int64_t{100}}) {
    Dataset some = dataset_;
    some.rows = rows;
    some.pixels.resize(static_cast<size_t>(rows * some.elements()));
    some.labels.clear();
    const Predictions predictions = predict(model_, context_, trainer.final_weights(), some);
    ASSERT_EQ(static_cast<int64_t>(predictions.labels.size()), rows);
    for (int64_t n = 0; n < rows; ++n) {
      EXPECT_EQ(predictions.labels[static_cast<size_t>(n)], all.labels[static_cast<size_t>(n)])
          << "row " << n << " of " << rows;
    }
  }
}

TEST_F(TrainerTest, ViewsAreDistortedByHalfAndAlwaysTheSame) {
  const Views views = make_views(3, "rotation=10,shift=2,zoom=0.1,shear=5,elastic=4");
  EXPECT_EQ(views.count, 3);
  EXPECT_EQ(views.augmentation.rotation_degrees, 5);
  EXPECT_EQ(views.augmentation.shift_pixels, 1);
  EXPECT_EQ(views.augmentation.zoom, 0.05F);
  EXPECT_EQ(views.augmentation.shear_degrees, 2.5F);
  EXPECT_EQ(views.augmentation.elastic_pixels, 2);
  EXPECT_EQ(make_views(0, "").count, 0);
  EXPECT_THROW(make_views(1, ""), UsageError);

  Trainer trainer(model_, context_, options(), dataset_);
  finish(trainer);
  const auto with = [&](const std::string& augmentation) {
    return predict(model_, context_, trainer.final_weights(), dataset_, make_views(2, augmentation)).probabilities;
  };
  const std::vector<float> plain = predict(model_, context_, trainer.final_weights(), dataset_).probabilities;
  const std::vector<float> same = with("shift=0"), shifted = with("shift=4");
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(same[i], plain[i], 1e-6);  // a mean of three equal ones
  EXPECT_EQ(shifted, with("shift=4"));
  double apart = 0;
  for (size_t i = 0; i < plain.size(); ++i) apart = std::max<double>(apart, std::abs(shifted[i] - plain[i]));
  EXPECT_GT(apart, 0.01);

  // The second view is not the first again: with v1 = v2 the mean of three would be (plain + 2 * v1) / 3.
  const auto mean_of = [&](int32_t count, const Dataset& rows) {
    return predict(model_, context_, trainer.final_weights(), rows, make_views(count, "shift=4")).probabilities;
  };
  const std::vector<float> one = mean_of(1, dataset_), two = mean_of(2, dataset_);
  apart = 0;
  for (size_t i = 0; i < plain.size(); ++i)
    apart = std::max<double>(apart, std::abs(3 * two[i] - (plain[i] + 2 * (2 * one[i] - plain[i]))));
  EXPECT_GT(apart, 0.01);
  // Nor do rows of different batches share their distortions.
  Dataset equal = dataset_;
  const auto elements = static_cast<size_t>(equal.elements());
  for (size_t i = elements; i < equal.pixels.size(); ++i) equal.pixels[i] = equal.pixels[i % elements];
  const std::vector<float> views_of_one = mean_of(1, equal);
  const size_t classes = views_of_one.size() / static_cast<size_t>(equal.rows);
  std::set<std::vector<float>> seen;
  for (size_t n = 0; n < static_cast<size_t>(equal.rows); ++n)
    seen.insert({views_of_one.begin() + static_cast<std::ptrdiff_t>(n * classes),
                 views_of_one.begin() + static_cast<std::ptrdiff_t>((n + 1) * classes)});
  EXPECT_GT(seen.size(), static_cast<size_t>(model_.predict->batch));
}

TEST_F(TrainerTest, WeightsThatAreDamagedPredictNothing) {
  AlignedMemory weights(model_.state_bytes);
  reinterpret_cast<float*>(weights.data())[0] = std::numeric_limits<float>::quiet_NaN();
  try {
    predict(model_, context_, weights.data(), dataset_);
    FAIL() << "no error";
  } catch (const NonFiniteError& error) {
    EXPECT_STREQ(error.what(),
                 "learnable rows, row 1: probability is not finite; the weights are damaged or from a failed training");
  }
  kiln_model batches_only = model_;
  batches_only.predict_one = nullptr;
  for (const kiln_model* model : {&model_, static_cast<const kiln_model*>(&batches_only)}) {
    RowPredictor predictor(*model, context_, weights.data());
    try {
      predictor.predict(std::span(dataset_.pixels).first(16));
      FAIL() << "no error";
    } catch (const NonFiniteError& error) {
      EXPECT_STREQ(error.what(), "probability is not finite; the weights are damaged or from a failed training");
    }
  }
}

TEST_F(TrainerTest, ARowByItselfIsPredictedAsInABatch) {
  Trainer trainer(model_, context_, options(), dataset_);
  finish(trainer);
  kiln_model batches_only = model_;
  batches_only.predict_one = nullptr;
  RowPredictor one(model_, context_, trainer.final_weights()), batch(batches_only, context_, trainer.final_weights());
  const Predictions all = predict(model_, context_, trainer.final_weights(), dataset_);
  for (const size_t row : {0, 57}) {
    const auto pixels = std::span(dataset_.pixels).subspan(row * 16, 16);
    const std::vector<float> expected(all.probabilities.begin() + static_cast<std::ptrdiff_t>(row * 3),
                                      all.probabilities.begin() + static_cast<std::ptrdiff_t>(row * 3 + 3));
    EXPECT_EQ(one.predict(pixels), expected);
    EXPECT_EQ(batch.predict(pixels), expected);
  }
}

}  // namespace
}  // namespace kiln
