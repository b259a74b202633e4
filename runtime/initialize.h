#pragma once

#include <cstdint>

#include "program.h"

namespace kiln {

/// Fills the state block with the parameters' initial values. Each element depends on the seed, the parameter's index
/// and its own index alone (Philox4x32-10, Salmon et al. 2011).
void initialize(const kiln_model& model, uint64_t seed, uint8_t* state);

}  // namespace kiln
