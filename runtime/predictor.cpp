#include "predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "batches.h"
#include "error.h"
#include "finite.h"
#include "model_inputs.h"

namespace kiln {
namespace {

constexpr uint64_t kViewSeed = 1;  // one set of views: predicting twice gives the same

}  // namespace

Predictions predict(const kiln_model& model, Context& context, uint8_t* weights, const Dataset& dataset,
                    const Views& views) {
  const int32_t index = predicted_output(model);
  const kiln_program& program = *model.predict;
  const kiln_value& output = program.outputs[index];
  Executor executor(program, context);
  executor.prepare(weights);
  BatchLoader loader(executor, dataset);

  Predictions result;
  result.rows = dataset.rows;
  result.classes = static_cast<int64_t>(output.count);
  result.probabilities.resize(static_cast<size_t>(result.rows * result.classes));
  result.labels.resize(static_cast<size_t>(result.rows));
  std::vector<int32_t> rows(static_cast<size_t>(program.batch));
  for (int64_t first = 0; first < dataset.rows; first += program.batch) {
    const auto count = static_cast<int32_t>(std::min<int64_t>(program.batch, dataset.rows - first));
    std::iota(rows.begin(), rows.end(), static_cast<int32_t>(first));
    for (int32_t view = 0; view <= views.count; ++view) {
      // The row itself first; the numbers of a view's distortions depend on the row, not on the batch.
      const auto counter =
          static_cast<uint64_t>(view) * static_cast<uint64_t>(dataset.rows) + static_cast<uint64_t>(first);
      loader.load(rows.data(), count, view == 0 ? nullptr : &views.augmentation, kViewSeed, counter);
      executor.run(weights, {.learning_rate = 0, .step = 0, .seed = 0, .count = count});
      const float* values = executor.real(output);
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
      result.labels[static_cast<size_t>(first + n)] =
          static_cast<int32_t>(std::max_element(row, row + result.classes) - row);
    }
  }
  return result;
}

Views make_views(int32_t count, const std::string& augmentation) {
  if (count == 0) return {};
  if (augmentation.empty()) throw UsageError("--views needs to know how to distort: add --augment rotation=10,shift=2");
  Views views{count, parse_augmentation(augmentation)};
  // Training sees the whole range so that the middle of it is easy.
  for (float* value : {&views.augmentation.rotation_degrees, &views.augmentation.shift_pixels, &views.augmentation.zoom,
                       &views.augmentation.shear_degrees}) {
    *value /= 2;
  }
  return views;
}

int64_t count_correct(std::span<const int32_t> predicted, std::span<const int32_t> labels) {
  int64_t correct = 0;
  for (size_t i = 0; i < predicted.size(); ++i) correct += predicted[i] == labels[i];
  return correct;
}

}  // namespace kiln
