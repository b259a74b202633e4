#include "run_results.h"

#include <algorithm>
#include <span>

#include "model_inputs.h"

namespace kiln {
namespace {

/// Whether predictions can be judged by these labels: the model's output has a value a class, and they are classes.
bool tells_classes(const kiln_model& model, std::span<const int32_t> labels) {
  const int32_t classes = model_inputs(model).classes;
  return predicts_classes(model) &&
         std::all_of(labels.begin(), labels.end(), [&](int32_t label) { return label < classes; });
}

/// What the model makes of the first test or validation rows, where its output is as large as its input.
std::optional<Reconstructions> reconstruct(const kiln_model& model, Context& context, const Trainer& trainer,
                                           const Dataset& dataset, const TestData& test) {
  constexpr int64_t kRows = 24;
  if (predicts_classes(model)) return {};
  const auto count = static_cast<int64_t>(model.predict->outputs[predicted_output(model)].count);
  const RowRange validation = trainer.split().validation;
  if (count != dataset.elements() || (!test.rows && validation.count == 0)) return {};
  Dataset rows = test.rows ? rows_of(*test.rows, 0, std::min(kRows, test.rows->rows))
                           : rows_of(dataset, validation.first, std::min(kRows, validation.count));
  Predictions predictions = predict(model, context, trainer.final_weights(), rows);
  return Reconstructions{test.rows ? "test" : "validation", std::move(rows), std::move(predictions)};
}

}  // namespace

std::optional<Predictions> predict_validation(const kiln_model& model, Context& context, const Trainer& trainer,
                                              const Dataset& dataset) {
  const RowRange rows = trainer.split().validation;
  if (rows.count == 0 || !tells_classes(model, dataset.labels)) return std::nullopt;
  return predict(model, context, trainer.final_weights(), rows_of(dataset, rows.first, rows.count));
}

RunResults run_results(const kiln_model& model, Context& context, const Trainer& trainer, const Dataset& dataset,
                       const TestData& test, const std::optional<Predictions>& validated,
                       const std::optional<Predictions>& tested) {
  RunResults results;
  if (validated) {
    const RowRange rows = trainer.split().validation;
    results.evaluations.push_back(
        {"validation", dataset, rows.first,
         std::span(dataset.labels).subspan(static_cast<size_t>(rows.first), static_cast<size_t>(rows.count)),
         *validated});
  }
  if (tested && !test.labels.empty() && tells_classes(model, test.labels))
    results.evaluations.push_back({"test", *test.rows, 0, test.labels, *tested});
  results.reconstructions = reconstruct(model, context, trainer, dataset, test);
  return results;
}

}  // namespace kiln
