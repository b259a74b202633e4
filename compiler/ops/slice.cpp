#include "ops/slice.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/pad.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const auto &begin = call.attribute<std::vector<int64_t>>("begin"),
             &size = call.attribute<std::vector<int64_t>>("size");
  Shape shape = same_type(call).shape;
  if (begin.size() != shape.size() || size.size() != shape.size()) {
    call.fail(fmt::format("begin and size must have {} numbers, one for each dimension of {}, got {} and {}",
                          shape.size(), to_string(shape), begin.size(), size.size()));
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == kBatch) {
      if (begin[i] != 0 || size[i] != -1) call.fail("the batch dimension cannot be cut; begin 0 and size -1 keep it");
      continue;
    }
    const int64_t extent = size[i] == -1 ? shape[i] - begin[i] : size[i];
    if (begin[i] < 0 || extent < 1 || begin[i] + extent > shape[i]) {
      call.fail(fmt::format("{} elements from {} on are not inside dimension {} of {}", extent, begin[i], i,
                            to_string(call.shape(0))));
    }
    shape[i] = extent;
  }
  return {shape, ElementType::real};
}

Definition define(const Call& call) {
  const auto begin = call.attribute<std::vector<int64_t>>("begin");
  const auto rule = [begin](const Operands& in, const Index& at) {
    Index index = at;
    for (size_t i = 0; i < index.size(); ++i) {
      if (begin[i] != 0) index[i] += static_cast<int>(begin[i]);
    }
    return in.read(0, index);
  };
  return gathering(map(rule), {0});
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const auto& begin = std::get<std::vector<int64_t>>(call.attributes.at("begin"));
  const Shape &x = call.inputs[0].shape(), &output = call.output.shape();
  std::vector<int64_t> after(x.size(), 0);
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] != kBatch) after[i] = x[i] - begin[i] - output[i];
  }
  return {pad(call.cotangent, {.before = begin, .after = after})};
}

std::vector<Sample> samples() {
  return {{{{kBatch, 4, 5, 2}},
           [](const std::vector<Tensor>& in) {
             return slice(in[0], {.begin = {0, 1, 0, 1}, .size = {-1, 2, 3, -1}});
           }},
          {{{5, 4}}, [](const std::vector<Tensor>& in) {
             return slice(in[0], {.begin = {2, 0}, .size = {-1, 4}});
           }}};
}

}  // namespace

const Operator slice_operator = {
    .name = "slice",
    .documentation =
        "The block of x that starts at `begin` and has the extents `size`, -1 for all that follow (TensorFlow slice).",
    .type = type,
    .define = define,
    .gradient = gradient,
    .samples = samples,
};

Tensor slice(Tensor x, SliceOptions options, Location location) {
  return x.graph().append(slice_operator, {x}, {{"begin", options.begin}, {"size", options.size}}, location);
}

}  // namespace kiln
