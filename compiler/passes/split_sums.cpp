#include "passes/split_sums.h"

#include <algorithm>

#include "ops/reduce_sum.h"
#include "passes/rewrite.h"

namespace kiln {

Graph split_sums(const Graph& graph) {
  return rewrite(graph, [](Graph& next, const Node& node, const std::vector<Tensor>& inputs) {
    if (node.op != &reduce_sum_operator) return copy_node(next, node, inputs);
    const Shape& shape = inputs[0].shape();
    auto axes = std::get<std::vector<int64_t>>(node.attributes.at("axes"));
    const auto row = std::find(axes.begin(), axes.end(), 1);
    const bool over_batch = std::count(axes.begin(), axes.end(), 0) > 0;
    if (shape.size() != 4 || !has_batch(shape) || !over_batch || row == axes.end() || shape[1] == 1) {
      return copy_node(next, node, inputs);
    }
    axes.erase(row);
    return reduce_sum(reduce_sum(inputs[0], {.axes = axes}), {.axes = {0}});  // the batch is gone: rows are axis 0
  });
}

}  // namespace kiln
