#pragma once

#include <optional>

#include "report.h"
#include "trainer.h"
#include "training_data.h"

namespace kiln {

/// What the trained weights say of the validation rows; nothing where that cannot be judged.
std::optional<Predictions> predict_validation(const kiln_model& model, Context& context, const Trainer& trainer,
                                              const Dataset& dataset);

/// What a report tells of the rows that a run has: these predictions of validation and test rows, where they can be
/// judged, and what a model without classes draws. All that it is given must outlive it.
RunResults run_results(const kiln_model& model, Context& context, const Trainer& trainer, const Dataset& dataset,
                       const TestData& test, const std::optional<Predictions>& validated,
                       const std::optional<Predictions>& tested);

}  // namespace kiln
