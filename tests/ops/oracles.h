#pragma once

#include <string>

#include "ops/random_call.h"

/// What a random call is held against. Each oracle returns what it found wrong, or nothing.
namespace kiln::testing {

/// Gradients against central finite differences, element by element, in f64. A gradient that is zero everywhere is
/// drawn again with other values and fails if it stays so; where there is no gradient the output must not depend.
std::string compare_with_finite_differences(const RandomCall& call);

/// Gradients against those of Halide's propagate_adjoints, which differentiates the definitions by itself, in f64.
std::string compare_with_halide_adjoints(const RandomCall& call);

/// The compiler's unscheduled reference evaluation against the interpreter: output, gradients and updates in f64.
std::string compare_reference(const RandomCall& call);

/// The fused, scheduled, compiled program against the interpreter: output, gradients and updates in f32.
std::string compare_compiled(const RandomCall& call);

}  // namespace kiln::testing
