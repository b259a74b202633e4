#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "ir/type.h"

namespace kiln {

/// What a random call is made of: whole numbers, drawn from a seed or given. Operators' samples ask for their sizes and
/// attributes here, so that a test can repeat a call, and make one smaller: a smaller number is always a simpler
/// choice.
class Choices {
 public:
  /// Draws from `seed`. Shapes have at most `elements` elements, the batch not counted.
  Choices(uint64_t seed, int64_t elements) : state_(seed), elements_(elements) {}
  /// Makes the choices in `given` again; after its end, and instead of what is no longer possible, the nearest.
  Choices(std::vector<int64_t> given, int64_t elements)
      : given_(std::move(given)), repeats_(true), elements_(elements) {}

  /// An integer from `low` to `high`.
  int64_t integer(int64_t low, int64_t high);
  bool flip() { return integer(0, 1) == 1; }
  /// One of the values, the simplest first.
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[integer(0, static_cast<int64_t>(values.size()) - 1)];
  }

  /// A dimension's extent, at most `most`: 1, primes, vector widths and their neighbours.
  int64_t extent(int64_t most);
  /// A shape of `rank` dimensions, of which the first is the batch if `batched`.
  Shape shape(int64_t rank, bool batched);
  /// A shape of rank `least` to 4, with the batch or without.
  Shape any_shape(int64_t least = 0);
  /// N x height x width x channels.
  Shape image() { return shape(4, true); }
  /// Some of `shape`'s dimensions become 1 or, from the left, are left out: what broadcasts to it.
  Shape stretchable_to(const Shape& shape);

  int64_t elements() const { return elements_; }
  /// The choices made so far, each less the lowest possible.
  const std::vector<int64_t>& made() const { return made_; }

 private:
  uint64_t state_ = 0;
  std::vector<int64_t> given_, made_;
  bool repeats_ = false;
  int64_t elements_;
};

}  // namespace kiln
