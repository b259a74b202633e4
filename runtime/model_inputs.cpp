#include "model_inputs.h"

#include <fmt/format.h>

#include "error.h"

namespace kiln {

ModelInputs model_inputs(const kiln_model& model) {
  ModelInputs result;
  for (const kiln_program* program : {model.train, model.evaluate, model.predict}) {
    if (!program) continue;
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

void require_classes(const char* flag, const kiln_model& model) {
  if (model_inputs(model).classes == 0) {
    throw UsageError(
        fmt::format("{}: graph {} has no classes that labels could be compared with; leave it out", flag, model.name));
  }
}

int32_t predicted_output(const kiln_model& model) {
  if (!model.predict || model.predict->output_count == 0) {
    throw UsageError(fmt::format("graph {} has no output to predict: give it one with output()", model.name));
  }
  const int32_t classes = model_inputs(model).classes;
  for (int32_t i = 0; i < model.predict->output_count; ++i) {
    const kiln_value& output = model.predict->outputs[i];
    if (output.batched && output.count == static_cast<uint64_t>(classes)) return i;
  }
  return 0;
}

}  // namespace kiln
