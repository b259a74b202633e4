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
    if (begin[i] < 0 || extent < 1 || extent > shape[i] - begin[i]) {
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

Sample sample(Choices& choices) {
  const Shape x = choices.any_shape(1);
  SliceOptions options;
  for (const int64_t extent : x) {
    options.begin.push_back(extent == kBatch ? 0 : choices.integer(0, extent - 1));
    const bool rest = extent == kBatch || choices.flip();
    options.size.push_back(rest ? -1 : choices.integer(1, extent - options.begin.back()));
  }
  return {.inputs = {{x}}, .build = [options](const std::vector<Tensor>& in) { return slice(in[0], options); }};
}

}  // namespace

const Operator slice_operator = {
    .name = "slice",
    .documentation =
        "The block of x that starts at `begin` and has the extents `size`, -1 for all that follow (TensorFlow slice).",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor slice(Tensor x, SliceOptions options, Location location) {
  return x.graph().append(slice_operator, {x}, {{"begin", options.begin}, {"size", options.size}}, location);
}

}  // namespace kiln
