#include "ops/to_real.h"

#include "ops/definition.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  if (call.inputs[0].element == ElementType::real) call.fail("the input must be int32; it is real already");
  return {call.shape(0), ElementType::real};
}

Definition define(const Call&) {
  return map([](const Operands& in, const Index& at) { return Halide::cast(in.real(), in.read(0, at)); });
}

Sample sample(Choices& choices) {
  return {.inputs = {{choices.shape(choices.integer(1, 4), true), ElementType::int32}},
          .build = [](const std::vector<Tensor>& in) { return to_real(in[0]); },
          .classes = 1 << 24};
}

}  // namespace

const Operator to_real_operator = {
    .name = "to_real",
    .documentation = "int32 (or bf16) values as real numbers, element by element; in f32 exact up to 2^24.",
    .type = type,
    .define = define,
    .sample = sample,
};

Tensor to_real(Operand x) { return x.tensor.graph().append(to_real_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
