#pragma once

#include <optional>

#include "ops/definition.h"

namespace kiln {

/// A position in storage order: the batch first, then the other dimensions from the innermost out.
Index storage_order(const Index& index, bool batched);
std::vector<int> storage_extents(const Shape& shape, int64_t batch);

/// The loops that an index depends on, in order.
std::vector<size_t> loops_in(const AffineIndex& index);
/// The loop that an index is, where it is nothing but one.
std::optional<size_t> plain_loop(const AffineIndex& index);

/// Where a contraction reads an operand.
struct AffineRead {
  Index position;       // clamped into the operand where `inside` may be false
  Halide::Expr inside;  // undefined where every position is inside
};

/// The operand's index forms at the given loop values. Positions that some loop value puts outside are promised to be
/// clamped: they must be read under `inside` only.
AffineRead affine_read(const Contraction& contraction, const std::vector<AffineIndex>& indices, const Shape& operand,
                       const Index& loops);

}  // namespace kiln
