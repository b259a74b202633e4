#include "model_inputs.h"

#include <fmt/format.h>

#include "error.h"

namespace kiln {

ModelInputs model_inputs(const kiln_model& model) {
  ModelInputs result;
  for (const kiln_program* program : {model.train, model.evaluate, model.predict}) {
    if (!program) continue;  // a graph without train()
    for (int32_t i = 0; i < program->input_count; ++i) {
      const kiln_value& input = program->inputs[i];
      if (result.classes == 0 && input.element == KILN_I32) result.classes = input.classes;
      if (result.shape.empty() && input.element == KILN_F32 && input.batched) {
        result.shape.assign(input.shape, input.shape + input.rank);
      }
    }
  }
  return result;
}

bool predicts_classes(const kiln_model& model) {
  const int32_t classes = model_inputs(model).classes;
  return classes > 0 && model.predict->outputs[predicted_output(model)].count == static_cast<uint64_t>(classes);
}

void require_classes(const char* flag, const kiln_model& model) {
  if (!predicts_classes(model)) {
    throw UsageError(
        fmt::format("{}: graph {} has no classes that labels could be compared with; leave it out", flag, model.name));
  }
}

void require_images(const char* flag, const kiln_model& model) {
  const std::vector<int64_t> shape = model_inputs(model).shape;
  if (shape.size() != 2 && shape.size() != 3) {
    throw UsageError(fmt::format("{}: graph {} takes samples of {}, which are no images to distort; leave it out", flag,
                                 model.name, fmt::join(shape, "x")));
  }
}

int32_t predicted_output(const kiln_model& model) {
  const int32_t classes = model_inputs(model).classes;
  for (int32_t i = 0; i < model.predict->output_count; ++i) {
    const kiln_value& output = model.predict->outputs[i];
    if (output.batched && output.count == static_cast<uint64_t>(classes)) return i;
  }
  return 0;
}

}  // namespace kiln
