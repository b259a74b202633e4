#include "ops/one_hot.h"

#include <algorithm>

#include "ops/definition.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const int64_t classes = call.attribute<int64_t>("classes");
  if (call.inputs[0].element != ElementType::int32) call.fail("the labels must be int32");
  if (classes < 1) call.fail(fmt::format("the number of classes must be positive, got {}", classes));
  Shape shape = call.shape(0);
  shape.push_back(classes);
  return {shape, ElementType::real};
}

Definition define(const Call&) {
  return map([](const Operands& in, const Index& at) {
    const Index label(at.begin(), at.end() - 1);
    return Halide::select(in.read(0, label) == at.back(), in.constant(1), in.constant(0));
  });
}

Sample sample(Choices& choices) {
  const int64_t classes = choices.extent(17);
  return {.inputs = {{choices.shape(choices.integer(1, 3), true), ElementType::int32}},
          .build = [classes](const std::vector<Tensor>& in) { return one_hot(in[0], {.classes = classes}); },
          .classes = classes};
}

}  // namespace

const Operator one_hot_operator = {
    .name = "one_hot",
    .documentation = "Class labels (int32, shape N) as rows of zeros with a one at the label: N x classes.",
    .type = type,
    .define = define,
    .sample = sample,
};

Tensor one_hot(Tensor labels, OneHotOptions options, Location location) {
  return labels.graph().append(one_hot_operator, {labels}, {{"classes", options.classes}}, location);
}

int64_t label_classes(const Graph& graph, NodeId labels) {
  int64_t fewest = 0;
  for (const Node& user : graph.nodes) {
    if (user.op != &one_hot_operator || user.inputs[0] != labels) continue;
    const auto classes = std::get<int64_t>(user.attributes.at("classes"));
    fewest = fewest == 0 ? classes : std::min(fewest, classes);
  }
  return fewest;
}

}  // namespace kiln
