#pragma once

#include <functional>

#include "random_graphs/sketch.h"

namespace kiln::testing {

/// Drops and cuts lines while `fails` holds, at most `attempts` tries.
Sketch shrunk(Sketch sketch, const std::function<bool(const Sketch&)>& fails, int attempts);

}  // namespace kiln::testing
