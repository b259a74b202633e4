#include "ops/fixture_calls.h"

#include "dsl/operators.h"

namespace kiln::testing {
namespace {

using Integers = std::vector<int64_t>;

Padding padding(const nlohmann::json& value) {
  if (value == "valid") return Padding::valid();
  if (value == "same") return Padding::same();
  return Padding::explicit_(value.at(0), value.at(1), value.at(2), value.at(3));
}

FixtureBuild unary(Tensor (*build)(Operand)) {
  return [build](const FixtureCall& call) { return build(call.input("x")); };
}

FixtureBuild binary(Tensor (*build)(Operand, Operand)) {
  return [build](const FixtureCall& call) { return build(call.input("a"), call.input("b")); };
}

FixtureBuild reduction(Tensor (*build)(Tensor, ReduceOptions, Location)) {
  return [build](const FixtureCall& call) {
    return build(call.input("x"), {.axes = call.attributes.at("axes")}, Location::here());
  };
}

FixtureBuild pooling(Tensor (*build)(Tensor, PoolOptions, Location)) {
  return [build](const FixtureCall& call) {
    const PoolOptions options = {.size = call.attributes.at("size"),
                                 .strides = call.attributes.value("strides", Integers{}),
                                 .padding = padding(call.attributes.at("padding"))};
    return build(call.input("x"), options, Location::here());
  };
}

FixtureBuild metric(Tensor (*build)(Tensor, Tensor, Location)) {
  return [build](const FixtureCall& call) { return build(call.input("p"), call.input("t"), Location::here()); };
}

Tensor matrix_product(const FixtureCall& call) {
  const Tensor x = call.input("x"), k = call.input("k");
  const Contraction product = {.loops = {"n", "o", "i"},
                               .extents = {kBatch, k.shape()[0], k.shape()[1]},
                               .output_rank = 2,
                               .left = {{{1, 0, 0}}, {{0, 0, 1}}},
                               .right = {{{0, 1, 0}}, {{0, 0, 1}}}};
  return contraction(x, k, product);
}

Tensor convolution(const FixtureCall& call) {
  const nlohmann::json& a = call.attributes;
  return conv2d(call.input("x"), {.filters = a.at("filters"),
                                  .kernel = a.at("kernel"),
                                  .strides = a.at("strides"),
                                  .padding = padding(a.at("padding")),
                                  .dilation = a.at("dilation"),
                                  .groups = a.at("groups"),
                                  .use_bias = a.at("use_bias")});
}

Tensor depthwise_convolution(const FixtureCall& call) {
  const nlohmann::json& a = call.attributes;
  return depthwise_conv2d(call.input("x"), {.kernel = a.at("kernel"),
                                            .strides = a.at("strides"),
                                            .padding = padding(a.at("padding")),
                                            .dilation = a.at("dilation"),
                                            .depth_multiplier = a.at("depth_multiplier"),
                                            .use_bias = a.at("use_bias")});
}

Tensor join(const FixtureCall& call) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < call.inputs.size(); ++i) tensors.push_back(call.input("x" + std::to_string(i)));
  return concatenate(tensors, {.axis = call.attributes.at("axis")});
}

}  // namespace

Tensor FixtureCall::input(const std::string& name) const {
  const nlohmann::json& tensor = inputs.at(name);
  Type type = {tensor.at("shape"), ElementType::real};
  const nlohmann::json& values = tensor.at("values");
  if (values.at(0).is_number_integer()) type.element = ElementType::int32;
  if (tensor.at("batched")) type.shape[0] = kBatch;
  return kiln::input(graph, name, type, Location::here());
}

const std::map<std::string, FixtureBuild>& fixture_calls() {
  static const std::map<std::string, FixtureBuild> calls = {
      {"abs", unary(abs)},
      {"add", binary(add)},
      {"alpha_dropout",
       [](const FixtureCall& c) { return alpha_dropout(c.input("x"), {.rate = c.attributes.at("rate")}); }},
      {"argmax", unary(argmax)},
      {"average_pool", pooling(average_pool)},
      {"batch_norm",
       [](const FixtureCall& c) {
         return batch_norm(c.input("x"), {.axis = c.attributes.at("axis"),
                                          .momentum = c.attributes.at("momentum"),
                                          .epsilon = c.attributes.at("epsilon")});
       }},
      {"binary_accuracy",
       [](const FixtureCall& c) {
         return binary_accuracy(c.input("p"), c.input("t"), {.threshold = c.attributes.value("threshold", 0.5)});
       }},
      {"binary_cross_entropy",
       [](const FixtureCall& c) {
         return binary_cross_entropy(c.input("p"), c.input("t"),
                                     {.from_logits = c.attributes.value("from_logits", false),
                                      .label_smoothing = c.attributes.value("label_smoothing", 0.0)});
       }},
      {"broadcast_to",
       [](const FixtureCall& c) { return broadcast_to(c.input("x"), {.shape = c.attributes.at("shape")}); }},
      {"categorical_accuracy", metric(categorical_accuracy)},
      {"categorical_cross_entropy",
       [](const FixtureCall& c) {
         return categorical_cross_entropy(c.input("p"), c.input("t"),
                                          {.from_logits = c.attributes.value("from_logits", false),
                                           .label_smoothing = c.attributes.value("label_smoothing", 0.0)});
       }},
      {"clip",
       [](const FixtureCall& c) {
         return clip(c.input("x"), {.min = c.attributes.at("min"), .max = c.attributes.at("max")});
       }},
      {"concatenate", join},
      {"contraction", matrix_product},
      {"conv2d", convolution},
      {"dense",
       [](const FixtureCall& c) {
         return dense(c.input("x"), {.units = c.attributes.at("units"), .use_bias = c.attributes.at("use_bias")});
       }},
      {"depthwise_conv2d", depthwise_convolution},
      {"divide", binary(divide)},
      {"dropout", [](const FixtureCall& c) { return dropout(c.input("x"), {.rate = c.attributes.at("rate")}); }},
      {"elu", [](const FixtureCall& c) { return elu(c.input("x"), {.alpha = c.attributes.value("alpha", 1.0)}); }},
      {"erf", unary(erf)},
      {"exp", unary(exp)},
      {"flatten", unary(flatten)},
      {"gelu",
       [](const FixtureCall& c) {
         return gelu(c.input("x"), {.approximate = c.attributes.value("approximate", false)});
       }},
      {"global_average_pool", unary(global_average_pool)},
      {"global_max_pool", unary(global_max_pool)},
      {"leaky_relu",
       [](const FixtureCall& c) {
         return c.attributes.contains("negative_slope")
                    ? leaky_relu(c.input("x"), {.negative_slope = c.attributes.at("negative_slope")})
                    : leaky_relu(c.input("x"));
       }},
      {"log", unary(log)},
      {"log_softmax", unary(log_softmax)},
      {"max_pool", pooling(max_pool)},
      {"maximum", binary(maximum)},
      {"mean_squared_error", metric(mean_squared_error)},
      {"min_pool", pooling(min_pool)},
      {"minimum", binary(minimum)},
      {"multiply", binary(multiply)},
      {"negate", unary(negate)},
      {"one_hot", [](const FixtureCall& c) { return one_hot(c.input("x"), {.classes = c.attributes.at("classes")}); }},
      {"pad",
       [](const FixtureCall& c) {
         return pad(c.input("x"), {.before = c.attributes.at("before"), .after = c.attributes.at("after")});
       }},
      {"random_uniform",
       [](const FixtureCall& c) {
         const Shape shape = c.input("x").shape();
         return random_uniform(c.graph, {.shape = shape, .stream = c.attributes.at("stream")});
       }},
      {"reduce_max", reduction(reduce_max)},
      {"reduce_mean", reduction(reduce_mean)},
      {"reduce_sum", reduction(reduce_sum)},
      {"relu", unary(relu)},
      {"reshape", [](const FixtureCall& c) { return reshape(c.input("x"), Shape(c.attributes.at("shape"))); }},
      {"selu", unary(selu)},
      {"sigmoid", unary(sigmoid)},
      {"slice",
       [](const FixtureCall& c) {
         return slice(c.input("x"), {.begin = c.attributes.at("begin"), .size = c.attributes.at("size")});
       }},
      {"softmax", unary(softmax)},
      {"softplus", unary(softplus)},
      {"sqrt", unary(sqrt)},
      {"square", unary(square)},
      {"stop_gradient", unary(stop_gradient)},
      {"subtract", binary(subtract)},
      {"tanh", unary(tanh)},
      {"to_bf16", unary(to_bf16)},
      {"to_real", unary(to_real)},
      {"transpose", [](const FixtureCall& c) { return transpose(c.input("x"), {.axes = c.attributes.at("axes")}); }},
      {"where_positive", [](const FixtureCall& c) { return where_positive(c.input("c"), c.input("a"), c.input("b")); }},
      {"zero_padding2d",
       [](const FixtureCall& c) { return zero_padding2d(c.input("x"), {.padding = c.attributes.at("padding")}); }},
  };
  return calls;
}

}  // namespace kiln::testing
