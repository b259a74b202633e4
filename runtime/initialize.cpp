#include "initialize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "random.h"

namespace kiln {
namespace {

/// A standard normal, drawn again beyond two standard deviations (Keras's and TensorFlow's truncated normal).
float truncated_normal(uint64_t seed, uint64_t parameter, uint64_t element) {
  for (uint64_t attempt = 0;; ++attempt) {
    const auto bits = philox(seed, parameter << 32 | attempt, element);
    // Box and Muller 1958; the logarithm's argument is never 0.
    const double radius = std::sqrt(-2 * std::log((bits[0] + 0.5) * 0x1p-32));
    const double value = radius * std::cos(2 * std::numbers::pi * bits[1] * 0x1p-32);
    if (std::abs(value) <= 2) return static_cast<float>(value);
  }
}

/// Uniform in [-scale, scale): four elements from each counter.
void uniform(uint64_t seed, uint64_t parameter, float* values, uint64_t count, float scale) {
  for (uint64_t first = 0; first < count; first += 4) {
    const auto bits = philox(seed, parameter << 32, first / 4);
    for (uint64_t i = first; i < std::min(first + 4, count); ++i)
      values[i] = (2 * unit_float(bits[i - first]) - 1) * scale;
  }
}

}  // namespace

void initialize(const kiln_model& model, uint64_t seed, uint8_t* state) {
  for (int p = 0; p < model.parameter_count; ++p) {
    const kiln_parameter& parameter = model.parameters[p];
    auto* values = reinterpret_cast<float*>(state + parameter.offset);
    switch (parameter.initializer) {
      case KILN_UNIFORM:
        uniform(seed, static_cast<uint64_t>(p), values, parameter.count, parameter.scale);
        break;
      case KILN_NORMAL:
        for (uint64_t i = 0; i < parameter.count; ++i)
          values[i] = truncated_normal(seed, static_cast<uint64_t>(p), i) * parameter.scale;
        break;
      default:
        std::fill_n(values, parameter.count, parameter.scale);
    }
  }
}

}  // namespace kiln
