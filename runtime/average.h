#pragma once

#include <cstddef>
#include <cstdint>

namespace kiln {

/// The decay of the moving average after `step` steps (counted from 0): min(decay, (1 + step) / (10 + step)), the ramp
/// of TensorFlow's ExponentialMovingAverage(num_updates), so that the first weights, which are noise, are soon
/// forgotten.
float average_decay(double decay, int64_t step);

/// average = decay * average + (1 - decay) * values, each element by itself: the same bits at any number of threads.
/// `context` is what kiln_parallel_for takes. Allocates nothing.
void update_average(void* context, float* average, const float* values, size_t count, float decay);

}  // namespace kiln
