#include "ops/concatenate.h"

#include "ops/definition.h"
#include "ops/slice.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const int64_t axis = call.attribute<int64_t>("axis");
  Shape shape = call.shape(0);
  if (axis < 0 || axis >= static_cast<int64_t>(shape.size()) || shape[axis] == kBatch) {
    call.fail(fmt::format("the axis is not a dimension of {} beside the batch", to_string(shape)));
  }
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (call.inputs[i].element != ElementType::real) call.fail("the inputs must be real");
    if (i == 0) continue;
    Shape other = call.shape(i);
    if (other.size() == shape.size()) other[axis] = call.shape(0)[axis];
    if (other != call.shape(0)) {
      call.fail(fmt::format("shapes {} and {} differ beside dimension {}", to_string(call.shape(0)),
                            to_string(call.shape(i)), axis));
    }
    shape[axis] += call.shape(i)[axis];
  }
  return {shape, ElementType::real};
}

Definition define(const Call& call) {
  const int64_t axis = call.attribute<int64_t>("axis");
  std::vector<int> extents;
  for (const Type& input : call.inputs) extents.push_back(static_cast<int>(input.shape[axis]));
  const auto rule = [axis, extents](const Operands& in, const Index& at) {
    Halide::Expr result;
    int end = 0;
    for (const int extent : extents) end += extent;
    // From the last operand to the first, so that the first one's test is outermost.
    for (size_t i = extents.size(); i-- > 0;) {
      const int begin = end - extents[i];
      Index index = at;
      if (extents.size() > 1) index[axis] = Halide::clamp(at[axis] - begin, 0, extents[i] - 1);
      const Halide::Expr value = in.read(static_cast<int>(i), index);
      result = result.defined() ? Halide::select(at[axis] < end, value, result) : value;
      end = begin;
    }
    return result;
  };
  std::vector<int> all;
  for (size_t i = 0; i < extents.size(); ++i) all.push_back(static_cast<int>(i));
  return gathering(map(rule, 3 * static_cast<int>(extents.size())), all);
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const int64_t axis = std::get<int64_t>(call.attributes.at("axis"));
  std::vector<Tensor> gradients;
  std::vector<int64_t> begin(call.output.shape().size(), 0);
  for (const Tensor& input : call.inputs) {
    gradients.push_back(slice(call.cotangent, {.begin = begin, .size = input.shape()}));
    begin[axis] += input.shape()[axis];
  }
  return gradients;
}

Sample sample(Choices& choices) {
  const bool batched = choices.flip();
  const Shape first = choices.shape(choices.integer(batched ? 2 : 1, 4), batched);
  const int64_t axis = choices.integer(batched ? 1 : 0, std::ssize(first) - 1);
  std::vector<Type> inputs = {{first}};
  for (int64_t more = choices.integer(0, 3); more > 0; --more) {
    inputs.push_back({first});
    inputs.back().shape[axis] = choices.extent(7);
  }
  return {.inputs = inputs, .build = [axis](const std::vector<Tensor>& in) { return concatenate(in, {.axis = axis}); }};
}

}  // namespace

const Operator concatenate_operator = {
    .name = "concatenate",
    .documentation = "The tensors one after the other along `axis` (Keras Concatenate), which is not the batch.",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "Concatenate",
};

Tensor concatenate(const std::vector<Tensor>& tensors, ConcatenateOptions options, Location location) {
  if (tensors.empty()) throw UserError(location, "concatenate", "there must be at least one tensor");
  const int64_t rank = static_cast<int64_t>(tensors[0].shape().size());
  return tensors[0].graph().append(concatenate_operator, tensors,
                                   {{"axis", options.axis < 0 ? options.axis + rank : options.axis}}, location);
}

}  // namespace kiln
