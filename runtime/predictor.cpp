#include "predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "data/csv.h"
#include "error.h"
#include "finite.h"
#include "model_inputs.h"

namespace kiln {
namespace {

constexpr uint64_t kViewSeed = 1;  // one set of views: predicting twice gives the same

/// About so many floating-point operations take as long as reading a byte from the last cache: 116 GFLOP/s and 60 GB/s,
/// measured on one core.
constexpr double kFlopsPerByte = 2;

/// What one call of a program costs, in floating-point operations: each kernel computes or waits for memory.
double work(const kiln_program& program) {
  double total = 0;
  for (int k = program.prepared_count; k < program.kernel_count; ++k)
    total += std::max(program.kernels[k].flops, kFlopsPerByte * program.kernels[k].bytes);
  return total;
}

/// A prediction program, its memory and its loader, ready for rows of the data set.
struct Caller {
  Caller(const kiln_program& program, Context& context, uint8_t* weights, const Dataset& dataset)
      : executor(program, context), loader(executor, dataset) {
    executor.prepare(weights);
  }
  Executor executor;
  BatchLoader loader;
};

/// Each row's largest class; the first of equals.
std::vector<int32_t> largest_classes(const Predictions& predictions) {
  std::vector<int32_t> labels;
  labels.reserve(static_cast<size_t>(predictions.rows));
  for (int64_t n = 0; n < predictions.rows; ++n) {
    const float* row = &predictions.probabilities[static_cast<size_t>(n * predictions.classes)];
    labels.push_back(static_cast<int32_t>(std::max_element(row, row + predictions.classes) - row));
  }
  return labels;
}

}  // namespace

AlignedMemory weights_to_predict_with(const Checkpoint& checkpoint) {
  const std::vector<uint8_t>& bytes = checkpoint.average.empty() ? checkpoint.weights : checkpoint.average;
  AlignedMemory memory(bytes.size());
  std::memcpy(memory.data(), bytes.data(), bytes.size());
  return memory;
}

int64_t rows_one_by_one(const kiln_model& model) {
  if (model.predict_one == nullptr) return 0;
  return static_cast<int64_t>(work(*model.predict) / work(*model.predict_one));
}

Predictions predict(const kiln_model& model, Context& context, uint8_t* weights, const Dataset& dataset,
                    const Views& views, const std::function<bool()>& interrupted) {
  const int32_t index = predicted_output(model);
  const int64_t batch = model.predict->batch, rest = dataset.rows % batch;
  const int64_t singles = rest <= rows_one_by_one(model) ? rest : 0;
  std::optional<Caller> batches, single_rows;
  if (dataset.rows > singles) batches.emplace(*model.predict, context, weights, dataset);
  if (singles > 0) single_rows.emplace(*model.predict_one, context, weights, dataset);
  const kiln_value& shape = model.predict->outputs[index];

  Predictions result;
  result.rows = dataset.rows;
  result.classes = static_cast<int64_t>(shape.count);
  result.probabilities.resize(static_cast<size_t>(result.rows * result.classes));
  std::vector<int32_t> rows(static_cast<size_t>(batch));
  int32_t count = 0;
  for (int64_t first = 0; first < dataset.rows; first += count) {
    Caller& caller = dataset.rows - first > singles ? *batches : *single_rows;
    const kiln_program& program = caller.executor.program();
    const kiln_value& output = program.outputs[index];
    count = static_cast<int32_t>(std::min<int64_t>(program.batch, dataset.rows - first));
    std::iota(rows.begin(), rows.end(), static_cast<int32_t>(first));
    for (int32_t view = 0; view <= views.count; ++view) {
      if (interrupted())
        throw Error(ExitCode::interrupted, fmt::format("interrupted while {} was predicted", dataset.origin));
      // The row itself first; the numbers of a view's distortions depend on the row, not on the batch.
      const auto counter =
          static_cast<uint64_t>(view) * static_cast<uint64_t>(dataset.rows) + static_cast<uint64_t>(first);
      caller.loader.load(rows.data(), count, view == 0 ? nullptr : &views.augmentation, kViewSeed, counter);
      caller.executor.run(weights, {.learning_rate = 0, .step = 0, .seed = 0, .count = count, .label_smoothing = 0});
      const float* values = caller.executor.real(output);
      const float share = 1 / static_cast<float>(views.count + 1);
      for (int64_t n = 0; n < count; ++n) {
        float* row = &result.probabilities[static_cast<size_t>((first + n) * result.classes)];
        for (int64_t i = 0; i < result.classes; ++i) row[i] += share * values[i * program.lanes + n];
      }
    }
    for (int64_t n = 0; n < count; ++n) {
      float* row = &result.probabilities[static_cast<size_t>((first + n) * result.classes)];
      if (!all_finite(row, output.count)) {
        throw NonFiniteError(
            fmt::format("{}, row {}: {} is not finite; the weights are damaged or from a failed training",
                        dataset.origin, first + n + 1, output.name));
      }
    }
  }
  if (predicts_classes(model)) result.labels = largest_classes(result);
  return result;
}

Predictions mean(std::span<const Predictions> predictions) {
  Predictions result = predictions.front();
  const float share = 1 / static_cast<float>(predictions.size());
  for (size_t i = 0; i < result.probabilities.size(); ++i) {
    float sum = 0;
    for (const Predictions& one : predictions) sum += one.probabilities.at(i);
    result.probabilities[i] = share * sum;
  }
  if (!result.labels.empty()) result.labels = largest_classes(result);
  return result;
}

RowPredictor::RowPredictor(const kiln_model& model, Context& context, uint8_t* weights)
    : weights_(weights),
      row_{.rows = 1, .shape = model_inputs(model).shape, .pixels = {}, .labels = {}, .origin = "row"},
      executor_(model.predict_one == nullptr ? *model.predict : *model.predict_one, context),
      loader_(executor_, row_),
      output_(executor_.program().outputs[predicted_output(model)]) {
  executor_.prepare(weights_);
}

std::vector<float> RowPredictor::predict(std::span<const uint8_t> pixels) {
  row_.pixels.assign(pixels.begin(), pixels.end());
  const int32_t row = 0;
  loader_.load(&row, 1);
  executor_.run(weights_, {.learning_rate = 0, .step = 0, .seed = 0, .count = 1, .label_smoothing = 0});
  std::vector<float> values(output_.count);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = executor_.real(output_)[i * static_cast<size_t>(executor_.program().lanes)];
  if (!all_finite(values.data(), values.size()))
    throw NonFiniteError(
        fmt::format("{} is not finite; the weights are damaged or from a failed training", output_.name));
  return values;
}

Views make_views(int32_t count, const std::string& augmentation) {
  if (count == 0) return {};
  if (augmentation.empty()) throw UsageError("--views needs to know how to distort: add --augment rotation=10,shift=2");
  Views views{count, parse_augmentation(augmentation)};
  // Training sees the whole range so that the middle of it is easy.
  for (float* value : {&views.augmentation.rotation_degrees, &views.augmentation.shift_pixels, &views.augmentation.zoom,
                       &views.augmentation.shear_degrees, &views.augmentation.elastic_pixels}) {
    *value /= 2;
  }
  return views;
}

void write_outputs(FileSystem& files, const std::string& path, const Predictions& predictions) {
  std::string text = "ImageId";
  for (int64_t i = 0; i < predictions.classes; ++i) text += fmt::format(",{}", i);
  text += '\n';
  for (int64_t n = 0; n < predictions.rows; ++n) {
    text += fmt::format("{}", n + 1);
    for (int64_t i = 0; i < predictions.classes; ++i) {
      text += fmt::format(",{}", predictions.probabilities[static_cast<size_t>(n * predictions.classes + i)]);
    }
    text += '\n';
  }
  write_atomically(files, path, text);
}

void write_predictions(FileSystem& files, const std::string& path, const Predictions& predictions) {
  if (predictions.labels.empty()) {
    write_outputs(files, path, predictions);
  } else {
    write_submission(files, path, predictions.labels);
  }
}

int64_t count_correct(std::span<const int32_t> predicted, std::span<const int32_t> labels) {
  int64_t correct = 0;
  for (size_t i = 0; i < predicted.size(); ++i) correct += predicted[i] == labels[i];
  return correct;
}

}  // namespace kiln
