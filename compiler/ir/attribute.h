#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace kiln {

/// One dimension of an operand of a contraction, as an affine form of the loop variables:
/// (offset + sum of coefficient * loop) / divisor. A position outside the operand, or one that the divisor does not
/// divide, contributes zero: padding and the gradients of strided convolutions need nothing else.
struct AffineIndex {
  std::vector<int64_t> coefficients;  // one per loop
  int64_t offset = 0;
  int64_t divisor = 1;

  bool operator==(const AffineIndex&) const = default;
};

/// output[l_0, ..., l_(k-1)] = sum over l_k, ... of left[left indices] * right[right indices]: the one family that
/// dense layers, convolutions and all their gradients belong to. The first `output_rank` loops are the output's
/// dimensions.
struct Contraction {
  std::vector<std::string> loops;
  std::vector<int64_t> extents;  // kBatch for the batch
  int64_t output_rank = 0;
  std::vector<AffineIndex> left, right;

  bool operator==(const Contraction&) const = default;
};

using Attribute = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, Contraction>;

/// Named constants of a node; ordered, so that prints and fingerprints are stable.
using Attributes = std::map<std::string, Attribute>;

std::string to_string(const Attribute& attribute);
std::string to_string(const Contraction& contraction);

}  // namespace kiln
