#include "average.h"

#include <algorithm>

#include "program.h"

namespace kiln {
namespace {

constexpr size_t kChunk = size_t{1} << 16;  // elements a task: enough that handing it out costs nothing beside it

struct Closure {
  float* average;
  const float* values;
  size_t count;
  float rest;  // 1 - decay
};

int average_chunk(void*, int index, uint8_t* closure) {
  const Closure& c = *reinterpret_cast<const Closure*>(closure);
  const size_t begin = static_cast<size_t>(index) * kChunk, end = std::min(c.count, begin + kChunk);
  float* __restrict average = c.average;
  const float* __restrict values = c.values;
  for (size_t i = begin; i < end; ++i) average[i] += c.rest * (values[i] - average[i]);
  return 0;
}

}  // namespace

float average_decay(double decay, int64_t step) {
  return static_cast<float>(std::min(decay, static_cast<double>(1 + step) / static_cast<double>(10 + step)));
}

void update_average(void* context, float* average, const float* values, size_t count, float decay) {
  Closure closure = {average, values, count, 1 - decay};
  kiln_parallel_for(context, average_chunk, 0, static_cast<int>((count + kChunk - 1) / kChunk),
                    reinterpret_cast<uint8_t*>(&closure));
}

}  // namespace kiln
