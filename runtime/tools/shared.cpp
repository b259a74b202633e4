// The functions of kiln_predictor.h. No exception leaves them.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "checkpoint.h"
#include "command.h"
#include "error.h"
#include "kiln_predictor.h"
#include "model_inputs.h"
#include "predictor.h"
#include "processor.h"

struct kiln_predictor {
  kiln_predictor(const kiln_model& model, const kiln::Checkpoint& checkpoint, int threads)
      : model(model),
        context(kiln::thread_count(threads)),
        weights(kiln::weights_to_predict_with(checkpoint)),
        one(model, context, weights.data()) {
    rows.shape = kiln::model_inputs(model).shape;
    rows.origin = "the rows given";
  }

  const kiln_model& model;
  kiln::Context context;
  kiln::AlignedMemory weights;
  kiln::RowPredictor one;
  kiln::Dataset rows;  // of the last call
};

namespace {

/// The exit code of the work, or of what it throws, whose message is copied as far as it fits.
template <class Work>
int told(char* message, size_t message_size, Work work) {
  const auto report = [&](const std::string& text) {
    if (message == nullptr || message_size == 0) return;
    const size_t length = std::min(text.size(), message_size - 1);
    std::memcpy(message, text.data(), length);
    message[length] = 0;
  };
  return kiln::guarded(
      [&] {
        work();
        return 0;
      },
      report);
}

}  // namespace

kiln_predictor* kiln_predictor_open(const char* path, int threads, char* message, size_t message_size) {
  kiln_predictor* predictor = nullptr;
  told(message, message_size, [&] {
    const kiln_model& model = kiln::model_for_processor(*kiln_linked_model());
    kiln::require_processor(model);
    kiln::predicted_output(model);
    predictor = new kiln_predictor(model, kiln::load_checkpoint(path, model), threads);
  });
  return predictor;
}

int64_t kiln_predictor_input_size(const kiln_predictor* predictor) { return predictor->rows.elements(); }

int64_t kiln_predictor_output_size(const kiln_predictor* predictor) {
  const kiln_model& model = predictor->model;
  return static_cast<int64_t>(model.predict->outputs[kiln::predicted_output(model)].count);
}

int kiln_predictor_run(kiln_predictor* predictor, const uint8_t* rows, int64_t count, float* outputs, char* message,
                       size_t message_size) {
  return told(message, message_size, [&] {
    if (count < 0) throw kiln::UsageError(fmt::format("{} rows cannot be predicted", count));
    const int64_t input_size = kiln_predictor_input_size(predictor);
    if (count <= std::max<int64_t>(1, kiln::rows_one_by_one(predictor->model))) {
      for (int64_t i = 0; i < count; ++i) {
        const std::span<const uint8_t> row(rows + i * input_size, static_cast<size_t>(input_size));
        const std::vector<float> values = predictor->one.predict(row);
        outputs = std::copy(values.begin(), values.end(), outputs);
      }
      return;
    }
    predictor->rows.rows = count;
    predictor->rows.pixels.assign(rows, rows + count * input_size);
    const kiln::Predictions predictions =
        kiln::predict(predictor->model, predictor->context, predictor->weights.data(), predictor->rows);
    std::copy(predictions.probabilities.begin(), predictions.probabilities.end(), outputs);
  });
}

void kiln_predictor_close(kiln_predictor* predictor) { delete predictor; }
