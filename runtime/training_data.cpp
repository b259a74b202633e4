#include "training_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/csv.h"
#include "data/synthetic_digits.h"
#include "error.h"
#include "model_inputs.h"

namespace kiln {
namespace {

constexpr uint64_t kDigitsSeed = 1;
constexpr int64_t kTestDigits = 4'000, kFirstTestDigit = 100'000'000;

}  // namespace

Dataset training_digits(int64_t rows, int threads) { return synthetic_digits(rows, kDigitsSeed, threads); }

Dataset test_digits(int threads) { return synthetic_digits(kTestDigits, kDigitsSeed, threads, kFirstTestDigit); }

void require_digits(const kiln_model& model) {
  const ModelInputs inputs = model_inputs(model);
  if (inputs.shape == std::vector<int64_t>{28, 28, 1} && (inputs.classes == 10 || inputs.classes == 0)) return;
  throw UsageError(
      fmt::format("--train FILE is missing: graph {} takes {} images of {} classes, and the built-in digits are "
                  "28x28x1 images of 10",
                  model.name, fmt::join(inputs.shape, "x"), inputs.classes));
}

Dataset load_training_data(const kiln_model& model, const TrainingOptions& options, int threads) {
  if (options.train.empty()) return training_digits(options.digits, threads);
  const ModelInputs inputs = model_inputs(model);
  Dataset dataset = load_dataset(options.train, inputs.shape, inputs.classes);
  if (dataset.labels.empty() && inputs.classes > 0) {
    throw DataError(
        fmt::format("{}: has no labels to learn from; a CSV file has them in its first column, \"label\", "
                    "IDX images called ...images-idx3... in ...labels-idx1... beside them",
                    options.train));
  }
  return dataset;
}

TestData load_test_data(const kiln_model& model, const TrainArguments& arguments, const TrainingOptions& options,
                        int threads) {
  TestData test;
  if (!arguments.test.empty()) {
    const ModelInputs inputs = model_inputs(model);
    test.rows = load_dataset(arguments.test, inputs.shape, inputs.classes);
    test.labels = test.rows->labels;
  } else if (options.train.empty()) {
    test.rows = test_digits(threads);
    test.rows->origin = "built-in digits that are not trained on";
    test.labels = test.rows->labels;
  }
  if (!arguments.test_labels.empty()) {
    require_classes("--test-labels", model);
    test.labels = read_labels(arguments.test_labels, model_inputs(model).classes);
    if (static_cast<int64_t>(test.labels.size()) != test.rows->rows) {
      throw DataError(fmt::format("{}: {} labels for the {} rows of {}", arguments.test_labels, test.labels.size(),
                                  test.rows->rows, arguments.test));
    }
  }
  if (test.rows && options.fast_dev_run) {
    Dataset& rows = *test.rows;
    rows.rows = std::min<int64_t>(rows.rows, 3 * model.predict->batch);
    rows.pixels.resize(static_cast<size_t>(rows.rows * rows.elements()));
    if (!rows.labels.empty()) rows.labels.resize(static_cast<size_t>(rows.rows));
    if (!test.labels.empty()) test.labels.resize(static_cast<size_t>(rows.rows));
  }
  return test;
}

}  // namespace kiln
