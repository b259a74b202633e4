#include <fmt/format.h>

#include "onnx_import/rules.h"

namespace kiln::from_onnx {
namespace {

Value soft_max(Importer& importer, Call& call, const char* op) {
  const Value x = importer.as_tensor(call, 0);
  if (x.rank() == 0) call.refuse("takes a dimension");
  const size_t axis = call.axis(call.integer("axis", call.operator_set < 13 ? 1 : -1), x.rank());
  if (call.operator_set < 13 && axis + 1 < x.rank()) {  // then: over all dimensions from the axis on
    Ints rest(x.shape.begin(), x.shape.begin() + static_cast<int64_t>(axis));
    rest.push_back(element_count(Ints(x.shape.begin() + static_cast<int64_t>(axis), x.shape.end())));
    if (axis == 0 && x.batched()) call.refuse("its axis is the batch");
    const int node = importer.unary(op, importer.reshaped(importer.plain(x), rest));
    return tensor(importer.reshaped(node, x.shape), x.shape);
  }
  if (axis == 0 && x.batched()) call.refuse("its axis is the batch");
  // Kiln's is along the last dimension.
  Order order = x.order;
  if (order[axis] + 1 != x.rank()) {
    order = identity_order(x.rank());
    for (size_t d = axis + 1; d < x.rank(); ++d) order[d] = d - 1;
    order[axis] = x.rank() - 1;
  }
  return {.shape = x.shape, .node = importer.unary(op, importer.in_order(x, order)), .order = order};
}

}  // namespace

Value batch_norm(Importer& importer, Call& call) {
  const Value& x = call.activation();
  call.require("training_mode", 0);
  call.require("spatial", 1);
  const double epsilon = call.real("epsilon", 1e-5), momentum = call.real("momentum", 0.9);
  if (!(epsilon > 0)) call.refuse(fmt::format("attribute epsilon is {}", epsilon));
  const int64_t count = x.shape[1];
  std::vector<NetworkBuilder::Weight> weights = {{"gamma", call.vector(1, "scale", count), 0, 1},
                                                 {"beta", call.vector(2, "bias", count), 0, 0},
                                                 {"moving_mean", call.vector(3, "mean", count), 0, 0, false},
                                                 {"moving_variance", call.vector(4, "variance", count), 0, 1, false}};
  const Ints shape = importer.build.shape(x.node);
  return like(x, importer.build.add_layer("batch_norm", x.node, std::move(weights),
                                          {{"axis", x.order[1]}, {"momentum", momentum}, {"epsilon", epsilon}}, shape));
}

Value softmax(Importer& importer, Call& call) { return soft_max(importer, call, "softmax"); }

Value log_softmax(Importer& importer, Call& call) { return soft_max(importer, call, "log_softmax"); }

}  // namespace kiln::from_onnx
