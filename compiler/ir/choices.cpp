#include "ir/choices.h"

#include <algorithm>

namespace kiln {

int64_t Choices::integer(int64_t low, int64_t high) {
  int64_t choice = 0;
  if (repeats_) {
    if (made_.size() < given_.size()) choice = std::clamp<int64_t>(given_[made_.size()], 0, high - low);
  } else {
    // Steele, Lea and Flood's SplitMix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    choice = static_cast<int64_t>((z ^ (z >> 31)) % static_cast<uint64_t>(high - low + 1));
  }
  made_.push_back(choice);
  return low + choice;
}

int64_t Choices::extent(int64_t most) {
  static constexpr int64_t kExtents[] = {1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 23, 31, 32, 33, 67};
  int64_t last = 0;
  while (last + 1 < std::ssize(kExtents) && kExtents[last + 1] <= most) ++last;
  return kExtents[integer(0, last)];
}

Shape Choices::shape(int64_t rank, bool batched) {
  Shape shape(rank);
  int64_t most = elements_;
  for (int64_t i = 0; i < rank; ++i) {
    shape[i] = i == 0 && batched ? kBatch : extent(most);
    if (shape[i] != kBatch) most /= shape[i];
  }
  return shape;
}

Shape Choices::any_shape(int64_t least) {
  const bool batched = flip();
  return shape(integer(batched ? std::max<int64_t>(least, 1) : least, 4), batched);
}

Shape Choices::stretchable_to(const Shape& shape) {
  Shape result(shape.begin() + integer(0, std::ssize(shape)), shape.end());
  for (int64_t& extent : result) {
    if (flip()) extent = 1;
  }
  return result;
}

}  // namespace kiln
