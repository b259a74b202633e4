#include "passes/feature_weights.h"

#include <algorithm>
#include <numeric>

#include "ops/contraction.h"
#include "ops/to_bf16.h"
#include "ops/transpose.h"
#include "passes/rewrite.h"

namespace kiln {
namespace {

/// The last output loop that an operand's dimension depends on, or -1: dimensions in this order end with the features.
int64_t output_loop(const Contraction& c, const AffineIndex& index) {
  int64_t last = -1;
  for (int64_t loop = 0; loop < c.output_rank; ++loop) {
    if (index.coefficients[static_cast<size_t>(loop)] != 0) last = loop;
  }
  return last;
}

}  // namespace

bool is_long_dot(const Contraction& c, int weights, const Shape& left, const Shape& right) {
  const std::vector<AffineIndex> row = {{{1, 0, 0}}, {{0, 0, 1}}}, unit = {{{0, 1, 0}}, {{0, 0, 1}}};
  const auto whole = [&](int side, const Shape& shape) {
    const size_t first = side == weights ? 1 : 0;
    return (side == 0 ? c.left : c.right) == (side == weights ? unit : row) &&
           shape == Shape{c.extents[first], c.extents[2]};
  };
  return c.output_rank == 2 && c.extents.size() == 3 && whole(0, left) && whole(1, right) && c.extents[2] >= kLongDot &&
         c.extents[2] % kDotLanes == 0;
}

Graph with_feature_weights(const Graph& graph) {
  return rewrite(graph, [&](Graph& next, const Node& node, const std::vector<Tensor>& inputs) -> Tensor {
    if (node.op != &contraction_operator || !has_batch(node.type.shape)) return copy_node(next, node, inputs);
    Contraction c = std::get<Contraction>(node.attributes.at("specification"));
    const int side = has_batch(inputs[0].shape()) ? 1 : 0;
    std::vector<AffineIndex>& indices = side == 0 ? c.left : c.right;
    const Shape& shape = inputs[side].shape();
    if (has_batch(shape)) return copy_node(next, node, inputs);
    if (is_long_dot(c, side, inputs[0].shape(), inputs[1].shape())) {
      if (graph.precision == Precision::f32 || shape[1] % (2 * kDotLanes) != 0) return copy_node(next, node, inputs);
      std::vector<Tensor> operands = inputs;
      operands[static_cast<size_t>(side)] = prepared(next, [&] { return to_bf16(inputs[static_cast<size_t>(side)]); });
      return contraction(operands[0], operands[1], c);
    }

    std::vector<int64_t> axes(shape.size());
    std::iota(axes.begin(), axes.end(), 0);
    std::stable_sort(axes.begin(), axes.end(), [&](int64_t a, int64_t b) {
      return output_loop(c, indices[static_cast<size_t>(a)]) < output_loop(c, indices[static_cast<size_t>(b)]);
    });
    if (std::is_sorted(axes.begin(), axes.end())) return copy_node(next, node, inputs);
    std::vector<AffineIndex> permuted;
    for (const int64_t axis : axes) permuted.push_back(indices[static_cast<size_t>(axis)]);
    indices = std::move(permuted);
    std::vector<Tensor> operands = inputs;
    operands[static_cast<size_t>(side)] =
        prepared(next, [&] { return transpose(inputs[static_cast<size_t>(side)], {.axes = axes}); });
    return contraction(operands[0], operands[1], c);
  });
}

}  // namespace kiln
