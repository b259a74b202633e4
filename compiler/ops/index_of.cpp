#include "ops/index_of.h"

#include "ops/reduction.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  Shape shape = call.shape(0);
  shape[last_axis(call)] = 1;
  if (call.shape(1) != shape) {
    call.fail(fmt::format("value must be {} for an x of {}, got {}", to_string(shape), to_string(call.shape(0)),
                          to_string(call.shape(1))));
  }
  return {shape, ElementType::real};
}

Definition define(const Call& call) {
  const int64_t last = last_axis(call), extent = call.shape(0)[last];
  Definition definition =
      fold(Fold::min, {extent}, [last, extent](const Operands& in, const Index& at, const Index& r) {
        Index index = at;
        index[last] = r[0];
        const Halide::Expr position = Halide::cast(in.real(), r[0]),
                           none = in.constant(static_cast<double>(extent - 1));
        return Halide::select(in.read(0, index) >= in.read(1, at), position, none);
      });
  definition.compares = true;
  return definition;
}

Sample sample(Choices& choices) {
  const bool batched = choices.flip();
  const Shape x = choices.shape(choices.integer(batched ? 2 : 1, 4), batched);
  Shape value = x;
  value.back() = 1;
  return {.inputs = {{x}, {value}},
          .build = [](const std::vector<Tensor>& in) { return index_of(in[0], in[1]); },
          .distinct = true};
}

}  // namespace

const Operator index_of_operator = {
    .name = "index_of",
    .documentation =
        "The first index along the last axis at which x >= `value`, as a real number, the last index where there is "
        "none; it "
        "has no gradient.",
    .type = type,
    .define = define,
    .sample = sample,
};

Tensor index_of(Tensor x, Tensor value, Location location) {
  return x.graph().append(index_of_operator, {x, value}, {}, location);
}

}  // namespace kiln
