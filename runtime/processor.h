#pragma once

#include <string>
#include <string_view>

#include "program.h"

namespace kiln {

/// Whether this processor has a feature, by the name that a model's target has for it ("avx2", "avx512_zen4"); names
/// that are no feature of a processor are had by all.
bool processor_has(std::string_view feature);

/// What the processor calls itself, "AMD EPYC 9R14"; its architecture where it does not say.
std::string processor_name();

/// Throws Failure when the model's tables are of another version than this runtime, or its kernels need something of
/// the processor that it lacks: better a sentence than an illegal instruction.
void require_processor(const kiln_model& model, bool (*has)(std::string_view feature) = processor_has);

/// Of a model's variants for several processors, the first whose kernels this processor can run; where there is none,
/// the least demanding one, which require_processor() then refuses.
const kiln_model& model_for_processor(const kiln_model& first, bool (*has)(std::string_view feature) = processor_has);

}  // namespace kiln
