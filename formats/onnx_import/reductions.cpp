#include <algorithm>
#include <numeric>

#include "onnx_import/rules.h"

namespace kiln::from_onnx {
namespace {

Value reduced_by(Importer& importer, Call& call, const std::string& name) {
  const Value x = importer.as_tensor(call, 0);
  const bool keep = call.integer("keepdims", 1) != 0, nothing = call.integer("noop_with_empty_axes", 0) != 0;
  Ints given = call.axes(1).value_or(Ints{});
  if (given.empty()) {
    if (nothing || x.rank() == 0) return x;
    given.resize(x.rank());
    std::iota(given.begin(), given.end(), int64_t{0});
  }
  std::set<size_t> reduced;
  for (const int64_t axis : given) reduced.insert(call.axis(axis, x.rank()));
  if (x.batched() && reduced.contains(0))
    call.refuse("it is over the batch, whose rows prediction takes each for itself");
  Ints shape = x.shape, kept, node_axes;
  for (size_t d = 0; d < x.rank(); ++d) {
    if (!reduced.contains(d)) {
      kept.push_back(x.shape[d]);
      continue;
    }
    shape[d] = 1;
    node_axes.push_back(static_cast<int64_t>(x.order[d]));
  }
  std::sort(node_axes.begin(), node_axes.end());
  if (x.rank() == 4 && x.batched() && node_axes == Ints{1, 2} && (name == "reduce_mean" || name == "reduce_max")) {
    const int pooled = importer.build.add(name == "reduce_mean" ? "global_average_pool" : "global_max_pool", {x.node},
                                          nlohmann::json::object(), {kBatchExtent, importer.build.shape(x.node)[3]});
    const Value result = like(x, importer.reshaped(pooled, in_graph(shape, x.order)), shape);
    return keep ? result : importer.with_shape(result, kept);
  }
  int node = name == "reduce_min" ? importer.unary("negate", x.node) : x.node;
  node = importer.build.add(name == "reduce_min" ? "reduce_max" : name, {node}, {{"axes", node_axes}},
                            in_graph(shape, x.order));
  if (name == "reduce_min") node = importer.unary("negate", node);
  const Value result = like(x, node, shape);
  return keep ? result : importer.with_shape(result, kept);
}

}  // namespace

Rule reduce(const std::string& op) {
  return [op](Importer& importer, Call& call) { return reduced_by(importer, call, op); };
}

}  // namespace kiln::from_onnx
