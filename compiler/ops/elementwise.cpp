#include "ops/elementwise.h"

#include "ops/reduce_sum.h"
#include "ops/reshape.h"

namespace kiln {

Type same_type(const Call& call) {
  if (call.inputs[0].element != ElementType::real) call.fail("the input must be real");
  return call.inputs[0];
}

Type broadcast_type(const Call& call) {
  Shape shape;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (call.inputs[i].element != ElementType::real) call.fail("the inputs must be real");
    const Broadcast both = broadcast(shape, call.shape(i));
    if (!both.ok) {
      call.fail(
          fmt::format("shapes {} and {} do not fit together", to_string(call.shape(0)), to_string(call.shape(i))));
    }
    shape = both.shape;
  }
  // The batch is the first dimension or absent: N must not be aligned with an inner dimension.
  for (size_t i = 1; i < shape.size(); ++i) {
    if (shape[i] == kBatch) call.fail("the batch must stay the first dimension; reshape() the operand of lower rank");
  }
  return {shape, ElementType::real};
}

Tensor sum_to(Tensor cotangent, const Shape& shape) {
  const Shape from = cotangent.shape();
  if (from == shape) return cotangent;
  std::vector<int64_t> axes;
  for (size_t i = 0; i < from.size(); ++i) {
    const bool missing = i < from.size() - shape.size();
    if (from[i] != 1 && (missing || shape[i - (from.size() - shape.size())] == 1))
      axes.push_back(static_cast<int64_t>(i));
  }
  if (!axes.empty()) cotangent = reduce_sum(cotangent, {.axes = axes});
  return cotangent.shape() == shape ? cotangent : reshape(cotangent, shape);
}

Sample unary_sample(Choices& choices, Tensor (*build)(Operand), double low, double high, std::vector<double> kinks) {
  return {.inputs = {{choices.any_shape()}},
          .build = [build](const std::vector<Tensor>& in) { return build(in[0]); },
          .low = low,
          .high = high,
          .kinks = std::move(kinks)};
}

std::vector<Type> broadcast_types(Choices& choices, size_t count) {
  const Shape whole = choices.any_shape();
  std::vector<Type> types(count, {whole});
  for (Type& type : types) {
    if (choices.flip()) type.shape = choices.stretchable_to(whole);
  }
  return types;
}

Sample binary_sample(Choices& choices, Tensor (*build)(Operand, Operand), double low, double high) {
  return {.inputs = broadcast_types(choices, 2),
          .build = [build](const std::vector<Tensor>& in) { return build(in[0], in[1]); },
          .low = low,
          .high = high};
}

}  // namespace kiln
