#include "batches.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "error.h"
#include "random.h"

namespace kiln {
namespace {

/// Rows gathered at a time: their bytes and the vectors they become stay in the first cache.
constexpr int kRows = 16;

constexpr std::array<float, 256> scale_table() {
  std::array<float, 256> table{};
  for (int i = 0; i < 256; ++i) table[static_cast<size_t>(i)] = static_cast<float>(i) / 255.0f;
  return table;
}

constexpr std::array<float, 256> kScaled = scale_table();

/// out[i * lanes + n] = scale(row(n)[i]) for the first `count` rows; the lanes behind repeat the last, so that what is
/// computed of them is as finite as data is (log(0) times a cotangent of 0 would be NaN). A few rows a task.
template <class Row, class Scale>
void transpose(ThreadPool& pool, Row row, int count, int64_t elements, float* out, int lanes, Scale scale) {
  pool.for_each((lanes + kRows - 1) / kRows, [&](int task) {
    const int first = task * kRows;
    const int width = std::min(kRows, lanes - first);
    std::array<decltype(row(0)), kRows> rows{};
    for (int n = 0; n < width; ++n) rows[static_cast<size_t>(n)] = row(std::min(first + n, count - 1));
    for (int64_t i = 0; i < elements; ++i) {
      float* to = out + i * lanes + first;
      for (int n = 0; n < width; ++n) to[n] = scale(rows[static_cast<size_t>(n)][i]);
    }
  });
}

}  // namespace

BatchLoader::BatchLoader(const Executor& executor, const Dataset& dataset) : executor_(executor), dataset_(dataset) {
  const kiln_program& program = executor.program();
  for (int i = 0; i < program.input_count; ++i) {
    const kiln_value& value = program.inputs[i];
    const kiln_value*& slot = value.element == KILN_I32 ? label_ : image_;
    if (slot != nullptr)
      throw DataError(fmt::format("the graph has two inputs of one kind, '{}' and '{}'; a data set fills one",
                                  slot->name, value.name));
    slot = &value;
  }
  if (image_ == nullptr) throw DataError("the graph has no input of real numbers");
  if (static_cast<int64_t>(image_->count) != dataset.elements()) {
    const std::vector<int64_t> wanted(image_->shape, image_->shape + image_->rank);
    throw DataError(fmt::format("{}: samples are {}, the graph's input '{}' is {}", dataset.origin,
                                fmt::join(dataset.shape, "x"), image_->name, fmt::join(wanted, "x")));
  }
  augmented_.resize(static_cast<size_t>(program.batch) * image_->count);
}

void BatchLoader::load(const int32_t* rows, int count, const Augmentation* augmentation, uint64_t seed,
                       uint64_t counter) {
  const kiln_program& program = executor_.program();
  const int64_t elements = dataset_.elements();
  float* out = executor_.real(*image_);
  if (augmentation != nullptr && augmentation->any()) {
    const int height = image_->rank > 0 ? static_cast<int>(image_->shape[0]) : 1;
    const int width = image_->rank > 1 ? static_cast<int>(image_->shape[1]) : 1;
    const int channels = image_->rank > 2 ? static_cast<int>(image_->shape[2]) : 1;
    // A few rows a task; each row's result depends on its own counter only.
    const int tasks = (count + kRows - 1) / kRows;
    executor_.context().pool.for_each(tasks, [&](int task) {
      for (int n = task * kRows; n < std::min(count, (task + 1) * kRows); ++n) {
        augment(*augmentation, dataset_.pixels.data() + rows[n] * elements, augmented_.data() + n * elements, height,
                width, channels, seed, counter + static_cast<uint64_t>(n));
      }
    });
    transpose(
        executor_.context().pool, [&](int n) -> const float* { return augmented_.data() + n * elements; }, count,
        elements, out, program.lanes, [](float value) { return value; });
  } else {
    transpose(
        executor_.context().pool, [&](int n) { return dataset_.pixels.data() + rows[n] * elements; }, count, elements,
        out, program.lanes, [](uint8_t value) { return kScaled[value]; });
  }
  if (label_ != nullptr) {
    int32_t* labels = executor_.integer(*label_);
    for (int n = 0; n < program.lanes; ++n) {
      const int32_t row = rows[std::min(n, count - 1)];
      labels[n] = dataset_.labels.empty() ? 0 : dataset_.labels[static_cast<size_t>(row)];
    }
  }
}

std::vector<int32_t> shuffled_rows(int64_t first, int64_t count, uint64_t seed, uint64_t epoch) {
  std::vector<int32_t> rows(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) rows[static_cast<size_t>(i)] = static_cast<int32_t>(first + i);
  for (int64_t i = count - 1; i > 0; --i) {
    const auto bits = philox(seed, epoch, static_cast<uint64_t>(i));
    // 64 random bits: the remainder's bias is below 2^-32.
    const uint64_t j = (uint64_t{bits[0]} << 32 | bits[1]) % static_cast<uint64_t>(i + 1);
    std::swap(rows[static_cast<size_t>(i)], rows[j]);
  }
  return rows;
}

}  // namespace kiln
