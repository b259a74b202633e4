#pragma once

#include <cstdint>
#include <vector>

#include "program.h"

namespace kiln {

/// What data a model takes and how many classes it tells apart.
struct ModelInputs {
  std::vector<int64_t> shape;  // of one sample of the first real input with a batch: {28, 28, 1}
  int32_t classes = 0;         // of the label input; 0: it has none
};

/// Read from the programs' tables: training's where there is one, since prediction has no label.
ModelInputs model_inputs(const kiln_model& model);

/// Whether predictions name a class: there are classes, and the output that is read has a value for each.
bool predicts_classes(const kiln_model& model);

/// Throws UsageError where labels, which a flag gives, have no classes to be compared with.
void require_classes(const char* flag, const kiln_model& model);

/// Throws UsageError where a flag would distort samples that are no images: height x width, or with channels.
void require_images(const char* flag, const kiln_model& model);

/// The index of the output that predictions are read from: the first one with as many elements a sample as there are
/// classes, or the first of all.
int32_t predicted_output(const kiln_model& model);

}  // namespace kiln
