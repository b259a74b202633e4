#include "ops/reduction.h"

#include <algorithm>

#include "ops/elementwise.h"

namespace kiln {

Shape reduced_shape(const Call& call) {
  const Shape input = same_type(call).shape;
  const auto& axes = call.attribute<std::vector<int64_t>>("axes");
  if (axes.empty()) call.fail("name at least one axis");
  Shape shape = input;
  for (int64_t axis : axes) {
    if (axis < 0 || axis >= static_cast<int64_t>(input.size())) {
      call.fail(fmt::format("axis {} is out of range for {}", axis, to_string(input)));
    }
    if (std::count(axes.begin(), axes.end(), axis) > 1) call.fail(fmt::format("axis {} is named twice", axis));
    shape[axis] = 1;
  }
  if (has_batch(input) && std::count(axes.begin(), axes.end(), 0)) shape.erase(shape.begin());
  return shape;
}

Definition fold_axes(const Call& call, Fold kind) {
  const Shape input = call.shape(0);
  auto axes = call.attribute<std::vector<int64_t>>("axes");
  Shape extents;
  for (int64_t axis : axes) extents.push_back(input[axis]);
  const bool drops_batch = has_batch(input) && std::count(axes.begin(), axes.end(), 0);
  return fold(kind, extents, [input, axes, drops_batch](const Operands& in, const Index& at, const Index& r) {
    Index index = at;
    if (drops_batch) index.insert(index.begin(), Halide::Expr(0));
    for (size_t i = 0; i < axes.size(); ++i) index[axes[i]] = r[i];
    return in.read(0, index);
  });
}

int64_t last_axis(const Call& call) {
  const Shape& x = call.shape(0);
  if (x.empty() || x.back() == kBatch) {
    call.fail(fmt::format("input must have a dimension beside the batch, got {}", to_string(x)));
  }
  return static_cast<int64_t>(x.size()) - 1;
}

Type same_type_with_last_axis(const Call& call) {
  last_axis(call);
  return same_type(call);
}

Sample reduction_sample(Choices& choices, Tensor (*build)(Tensor, ReduceOptions, Location)) {
  const Shape x = choices.any_shape(1);
  ReduceOptions options;
  for (int64_t axis = 0; axis < std::ssize(x); ++axis) {
    if (choices.flip()) options.axes.push_back(axis);
  }
  if (options.axes.empty()) options.axes.push_back(choices.integer(0, std::ssize(x) - 1));
  return {.inputs = {{x}},
          .build = [=](const std::vector<Tensor>& in) { return build(in[0], options, Location::here()); }};
}

Sample last_axis_sample(Choices& choices, Tensor (*build)(Operand)) {
  const bool batched = choices.flip();
  const Shape x = choices.shape(choices.integer(batched ? 2 : 1, 4), batched);
  return {
      .inputs = {{x}}, .build = [build](const std::vector<Tensor>& in) { return build(in[0]); }, .flat = x.back() == 1};
}

}  // namespace kiln
