#include "self_test.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <set>

#include "batches.h"
#include "checkpoint.h"
#include "error.h"
#include "finite.h"
#include "initialize.h"
#include "model_inputs.h"
#include "random.h"
#include "trainer.h"

namespace kiln {
namespace {

constexpr int32_t kSeed = 1;
/// What the loss is to change by, as a part of itself, when a weight is moved: far more than its rounding (1e-6 of it),
/// little enough for a straight line.
constexpr double kChange = 1e-3;
/// How far a difference may be from what the gradient says: the curvature of the loss, kinks of ReLU and max-pooling.
constexpr double kTolerance = 0.1;
/// A weight whose gradient changes the loss by less than this part of it is lost in rounding.
constexpr double kLost = 2e-5;
constexpr int kSteps = 4;

/// Noise, three batches and a smaller one.
Dataset random_rows(const kiln_model& model) {
  const ModelInputs inputs = model_inputs(model);
  Dataset dataset;
  dataset.rows = 3 * model.train->batch + (model.train->batch + 1) / 2;
  dataset.shape = inputs.shape;
  dataset.origin = "random rows";
  const int64_t elements = dataset.elements();
  for (int64_t i = 0; i < dataset.rows * elements; ++i)
    dataset.pixels.push_back(static_cast<uint8_t>(philox(kSeed, 0, static_cast<uint64_t>(i))[0] >> 24));
  for (int64_t row = 0; inputs.classes > 0 && row < dataset.rows; ++row) {
    const uint32_t random = philox(kSeed, 1, static_cast<uint64_t>(row))[0];
    dataset.labels.push_back(static_cast<int32_t>(random % static_cast<uint32_t>(inputs.classes)));
  }
  return dataset;
}

float* floats(uint8_t* bytes) { return reinterpret_cast<float*>(bytes); }

/// The training program on its first batch, from weights of the caller's.
class FirstStep {
 public:
  FirstStep(const kiln_model& model, const Dataset& dataset, Context& context)
      : model_(model), executor_(*model.train, context), loader_(executor_, dataset), after_(model.state_bytes) {
    rows_ = shuffled_rows(0, model.train->batch, kSeed, 0);
  }

  /// The loss at `state`, which stays as it is; after() holds what the step made of it.
  double loss(const AlignedMemory& state, float learning_rate) {
    std::memcpy(after_.data(), state.data(), model_.state_bytes);
    loader_.load(rows_.data(), static_cast<int>(rows_.size()));
    executor_.run(
        after_.data(),
        {.learning_rate = learning_rate, .step = 0, .seed = kSeed, .count = model_.train->batch, .label_smoothing = 0});
    return *executor_.real(*executor_.find_output("loss"));
  }
  uint8_t* after() const { return after_.data(); }

 private:
  const kiln_model& model_;
  Executor executor_;
  BatchLoader loader_;
  AlignedMemory after_;
  std::vector<int32_t> rows_;
};

/// Each trainable weight's gradient up to one positive factor for all, from what a first step at rate 1 made of state
/// that was zero (compiler/dsl/optimizers.cpp): RMSprop keeps its square, Adam a part of it, and SGD moves along it.
std::vector<std::vector<double>> gradients(const kiln_model& model, const AlignedMemory& before, uint8_t* after) {
  const std::string optimizer = model.optimizer;
  std::vector<std::vector<double>> result;
  for (int32_t i = 0; i < model.parameter_count; ++i) {
    const kiln_parameter& weight = model.parameters[i];
    if (weight.kind != KILN_TRAINABLE) continue;
    const auto state = [&](const char* name) -> const float* {
      for (int32_t k = 0; k < model.parameter_count; ++k) {
        if (model.parameters[k].name == fmt::format("{}/{}", weight.name, name))
          return floats(after + model.parameters[k].offset);
      }
      throw Failure(fmt::format("{} has no {} of {}", optimizer, name, weight.name));
    };
    const float *was = floats(before.data() + weight.offset), *is = floats(after + weight.offset);
    const float* velocity = optimizer == "rmsprop" ? state("velocity") : nullptr;
    const float* momentum = optimizer == "adam" ? state("momentum") : nullptr;
    std::vector<double>& gradient = result.emplace_back(weight.count);
    for (uint64_t e = 0; e < weight.count; ++e) {
      const double moved = static_cast<double>(was[e]) - static_cast<double>(is[e]);
      if (velocity != nullptr)
        gradient[e] = std::copysign(std::sqrt(static_cast<double>(velocity[e])), moved);
      else
        gradient[e] = momentum != nullptr ? static_cast<double>(momentum[e]) : moved;
    }
  }
  return result;
}

/// Weights that all begin at one value, such as a batch normalisation's, make near ties in max-pooling, where a loss
/// has no slope: they are moved apart.
void move_apart(const kiln_model& model, uint8_t* state) {
  for (int32_t i = 0; i < model.parameter_count; ++i) {
    const kiln_parameter& weight = model.parameters[i];
    float* values = floats(state + weight.offset);
    if (weight.kind != KILN_TRAINABLE ||
        !std::all_of(values, values + weight.count, [&](float v) { return v == *values; }))
      continue;
    for (uint64_t e = 0; e < weight.count; ++e)
      values[e] += 0.2F * (unit_float(philox(kSeed, static_cast<uint64_t>(2 + i), e)[0]) - 0.5F);
  }
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

SelfTestResult check_gradient(const kiln_model& model, const Dataset& dataset, int threads) {
  if (model.clips_gradients != 0) return {"gradient", true, "not checked: this graph's optimizer clips gradients"};
  Context context(threads);
  FirstStep step(model, dataset, context);
  AlignedMemory state(model.state_bytes), moved(model.state_bytes);
  initialize(model, kSeed, state.data());
  move_apart(model, state.data());
  const double loss = step.loss(state, 1);
  const std::vector<std::vector<double>> all = gradients(model, state, step.after());
  std::vector<const kiln_parameter*> weights;
  for (int32_t i = 0; i < model.parameter_count; ++i) {
    if (model.parameters[i].kind == KILN_TRAINABLE) weights.push_back(&model.parameters[i]);
  }
  // The loss's slope along the given weights' gradients together, over the length of those: the same for all weights.
  const auto slope = [&](size_t first, size_t last, double distance) {
    double squares = 0;
    for (size_t w = first; w < last; ++w) squares += norm(all[w]) * norm(all[w]);
    const double length = std::sqrt(squares);
    const auto at = [&](double sign) {
      std::memcpy(moved.data(), state.data(), model.state_bytes);
      for (size_t w = first; w < last; ++w) {
        float* values = floats(moved.data() + weights[w]->offset);
        for (size_t e = 0; e < all[w].size(); ++e)
          values[e] = static_cast<float>(static_cast<double>(values[e]) + sign * distance / length * all[w][e]);
      }
      return step.loss(moved, 0);
    };
    return (at(1) - at(-1)) / (2 * distance) / length;
  };

  // All weights at once say how far to go, which takes a few guesses.
  double distance = 1e-3, factor = 0, length = 0;
  for (const std::vector<double>& gradient : all) length = std::hypot(length, norm(gradient));
  if (!std::isfinite(loss) || !(length > 0))
    return {"gradient", false, fmt::format("the loss is {} and the gradient's length {}", loss, length)};
  for (int guess = 0; guess < 4; ++guess) {
    factor = slope(0, all.size(), distance);
    const double change = std::abs(2 * distance * factor * length);
    distance *= std::clamp(kChange * loss / std::max(change, 1e-30), 0.01, 100.0);
  }

  std::vector<std::pair<double, const char*>> found;
  size_t lost = 0;
  for (size_t w = 0; w < all.size(); ++w) {
    const double own = norm(all[w]);
    const double far = own > 0 ? std::min(kChange * loss / (2 * own * std::abs(factor)), 32 * distance) : 0;
    if (2 * far * own * std::abs(factor) < kLost * loss)
      ++lost;
    else
      found.emplace_back(slope(w, w + 1, far), weights[w]->name);
  }
  if (found.empty()) return {"gradient", false, "no weight changes the loss"};
  std::sort(found.begin(), found.end());
  const double middle = found[found.size() / 2].first;
  const auto apart = [&](const auto& slope) { return std::abs(slope.first / middle - 1); };
  const auto worst =
      std::max_element(found.begin(), found.end(), [&](const auto& a, const auto& b) { return apart(a) < apart(b); });
  const bool passed = middle > 0 && apart(*worst) <= kTolerance;
  return {"gradient", passed,
          fmt::format("along {} weights' gradients the loss changes as they say; farthest apart is {}, by {:.1f}%{}",
                      found.size(), worst->second, 100 * apart(*worst),
                      lost == 0 ? "" : fmt::format(" ({} too flat to measure)", lost))};
}

SelfTestResult check_determinism(const kiln_model& model, const Dataset& dataset, int threads) {
  const std::set<int> counts = {1, 2, 4, threads, 2 * threads};
  std::vector<uint8_t> expected;
  int differs = 0;
  for (const int count : counts) {
    Context context(count);
    Executor executor(*model.train, context);
    BatchLoader loader(executor, dataset);
    AlignedMemory state(model.state_bytes);
    initialize(model, kSeed, state.data());
    const std::vector<int32_t> rows = shuffled_rows(0, dataset.rows, kSeed, 0);
    for (int step = 0; step < kSteps; ++step) {
      const int64_t first = step * model.train->batch;
      const auto rows_here = static_cast<int32_t>(std::min<int64_t>(model.train->batch, dataset.rows - first));
      loader.load(&rows[static_cast<size_t>(first)], rows_here);
      executor.run(state.data(), {.learning_rate = model.learning_rate,
                                  .step = step,
                                  .seed = kSeed,
                                  .count = rows_here,
                                  .label_smoothing = 0});
    }
    if (expected.empty())
      expected.assign(state.data(), state.data() + model.state_bytes);
    else if (differs == 0 && std::memcmp(expected.data(), state.data(), model.state_bytes) != 0)
      differs = count;
  }
  return {"determinism", differs == 0,
          differs == 0 ? fmt::format("{} steps have the same bits on {} threads", kSteps, fmt::join(counts, ", "))
                       : fmt::format("{} steps have other bits on {} threads than on 1", kSteps, differs)};
}

SelfTestResult check_checkpoint(const kiln_model& model, const Dataset& dataset, FileSystem& files,
                                const std::string& folder, int threads) {
  TrainingOptions options;
  options.epochs = 2;
  options.learning_rate = static_cast<double>(model.learning_rate);
  options.average = 0.9;
  Context context(threads);
  const auto always = [] { return true; };
  Trainer whole(model, context, options, dataset), first(model, context, options, dataset),
      second(model, context, options, dataset);
  while (!whole.done()) whole.run_epoch(always);

  const std::string path = fmt::format("{}/kiln_selftest_{}.kiln", folder, ::getpid());
  first.run_epoch(always);
  first.run_epoch([&] { return first.step() < 2; });
  save_checkpoint(files, path, model, first.checkpoint());
  try {
    second.restore(load_checkpoint(path, model), path);
  } catch (...) {
    files.remove(path);
    throw;
  }
  files.remove(path);
  while (!second.done()) second.run_epoch(always);
  const Checkpoint a = whole.checkpoint(), b = second.checkpoint();
  const bool same = a.weights == b.weights && a.optimizer == b.optimizer && a.average == b.average &&
                    a.progress.dump() == b.progress.dump();
  return {"checkpoint", same,
          fmt::format("saved after {} of {} steps, loaded and gone on with: {}", whole.epoch_steps() + 2,
                      2 * whole.epoch_steps(), same ? "the same bits as without" : "other bits than without")};
}

}  // namespace

bool self_test(const kiln_model& model, FileSystem& files, const std::string& folder, int threads,
               const std::function<void(const SelfTestResult&)>& report) {
  if (model.train == nullptr) throw UsageError(fmt::format("graph {} has no train(): nothing to test", model.name));
  const Dataset dataset = random_rows(model);
  bool passed = true;
  const auto run = [&](const auto& check) {
    const auto start = std::chrono::steady_clock::now();
    SelfTestResult result = check();
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    passed = passed && result.passed;
    report(result);
  };
  run([&] { return check_gradient(model, dataset, threads); });
  run([&] { return check_determinism(model, dataset, threads); });
  run([&] { return check_checkpoint(model, dataset, files, folder, threads); });
  return passed;
}

}  // namespace kiln
