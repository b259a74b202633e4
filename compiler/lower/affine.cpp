#include "lower/affine.h"

#include <algorithm>

namespace kiln {

using Halide::Expr;

Index storage_order(const Index& index, bool batched) {
  Index result(index.rbegin(), index.rend());
  if (batched) std::rotate(result.begin(), result.end() - 1, result.end());
  return result;
}

std::vector<int> storage_extents(const Shape& shape, int64_t batch) {
  std::vector<int> result;
  for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
    result.push_back(static_cast<int>(*extent == kBatch ? batch : *extent));
  }
  if (has_batch(shape)) std::rotate(result.begin(), result.end() - 1, result.end());
  return result;
}

std::vector<size_t> loops_in(const AffineIndex& index) {
  std::vector<size_t> loops;
  for (size_t i = 0; i < index.coefficients.size(); ++i) {
    if (index.coefficients[i] != 0) loops.push_back(i);
  }
  return loops;
}

std::optional<size_t> plain_loop(const AffineIndex& index) {
  const std::vector<size_t> loops = loops_in(index);
  if (loops.size() != 1 || index.coefficients[loops[0]] != 1 || index.offset != 0 || index.divisor != 1) return {};
  return loops[0];
}

AffineRead affine_read(const Contraction& contraction, const std::vector<AffineIndex>& indices, const Shape& operand,
                       const Index& loops) {
  AffineRead result;
  const auto require = [&](const Expr& condition) {
    result.inside = result.inside.defined() ? result.inside && condition : condition;
  };
  for (size_t d = 0; d < indices.size(); ++d) {
    const AffineIndex& index = indices[d];
    Expr numerator;
    int64_t low = index.offset, high = index.offset;
    for (size_t i = 0; i < loops.size(); ++i) {
      const int64_t c = index.coefficients[i];
      if (c == 0) continue;
      const Expr term = c == 1 ? loops[i] : loops[i] * static_cast<int>(c);
      numerator = numerator.defined() ? numerator + term : term;
      if (contraction.extents[i] == kBatch) continue;  // rows are never shifted
      (c > 0 ? high : low) += c * (contraction.extents[i] - 1);
    }
    if (!numerator.defined()) numerator = 0;
    if (index.offset != 0) numerator = numerator + static_cast<int>(index.offset);
    Expr position = numerator;
    if (index.divisor != 1) {
      require(numerator % static_cast<int>(index.divisor) == 0);
      position = numerator / static_cast<int>(index.divisor);
      low = low >= 0 ? low / index.divisor : -((-low + index.divisor - 1) / index.divisor);
      high = high >= 0 ? high / index.divisor : -((-high + index.divisor - 1) / index.divisor);
    }
    const bool below = low < 0, above = operand[d] != kBatch && high >= operand[d];
    if (below) require(position >= 0);
    if (above) require(position <= static_cast<int>(operand[d]) - 1);
    if (below || above || index.divisor != 1) {
      position = Halide::unsafe_promise_clamped(position, 0, static_cast<int>(operand[d]) - 1);
    }
    result.position.push_back(position);
  }
  return result;
}

}  // namespace kiln
