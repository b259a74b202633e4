#include "ops/random_uniform.h"

#include <algorithm>

#include "ops/definition.h"

namespace kiln {
namespace {

using Halide::Expr;

Expr u32(uint32_t value) { return Halide::Internal::make_const(Halide::UInt(32), value); }

// Wellons's lowbias32 (nullprogram.com/blog/2018/07/31): shift and multiply, 32 bits, bias 0.17 of 1000 avalanche
// units. `between` joins it half way, so that two keys that differ give sequences that are not shifts of one another.
Expr mix(Expr x, const Expr& between) {
  x = x ^ (x >> u32(16));
  x = x * u32(0x7feb352d) + between;
  x = x ^ (x >> u32(15));
  x = x * u32(0x846ca68b);
  return x ^ (x >> u32(16));
}

Type type(const Call& call) {
  for (const Type& input : call.inputs) {
    if (input != Type{{}, ElementType::int32}) call.fail("seed and step must be int32 scalars");
  }
  return {call.attribute<std::vector<int64_t>>("shape"), ElementType::real};
}

Definition define(const Call& call) {
  const auto shape = call.attribute<std::vector<int64_t>>("shape");
  const auto stream = static_cast<uint32_t>(call.attribute<int64_t>("stream"));
  const auto rule = [shape, stream](const Operands& in, const Index& at) {
    // Unsigned from the start: the index of an element may wrap, but must not overflow.
    Expr element = u32(0);
    for (size_t i = 0; i < shape.size(); ++i) {
      const Expr index = Halide::cast<uint32_t>(at[i]);
      element = i == 0 ? index : element * u32(static_cast<uint32_t>(shape[i])) + index;
    }
    // The keys are the same for all elements; the compiler moves them out of the loops.
    const Expr seed = Halide::cast<uint32_t>(in.read(0, {})), step = Halide::cast<uint32_t>(in.read(1, {}));
    const Expr key = mix(seed ^ mix(step ^ mix(u32(stream + 0x9e3779b9), u32(0)), u32(0)), u32(0));
    const Expr bits = mix(element ^ key, mix(key ^ u32(0x85ebca6b), u32(0)));
    // 24 bits: exact in f32, the same number in f64.
    return Halide::cast(in.real(), Halide::cast<int32_t>(bits >> u32(8))) * in.constant(1.0 / (1 << 24));
  };
  return map(rule, 16);
}

Sample sample(Choices& choices) {
  const int64_t stream = choices.integer(0, 5);
  return {.inputs = {{choices.any_shape()}}, .build = [stream](const std::vector<Tensor>& in) {
            return random_uniform(in[0].graph(), {.shape = in[0].shape(), .stream = stream});
          }};
}

}  // namespace

const Operator random_uniform_operator = {
    .name = "random_uniform",
    .documentation =
        "Random numbers in [0, 1), multiples of 2^-24: a hash of the seed, the step, `stream` and the element's "
        "row-major index "
        "(the batch first), after Wellons's lowbias32. Layout, threads and the size of the batch do not change them.",
    .type = type,
    .define = define,
    .sample = sample,
};

Tensor random_uniform(Graph& graph, RandomUniformOptions options, Location location) {
  return graph.append(random_uniform_operator, {graph.scalar("seed", location), graph.scalar("step", location)},
                      {{"shape", std::move(options.shape)}, {"stream", options.stream}}, location);
}

int64_t fresh_stream(const Graph& graph) {
  int64_t stream = 0;
  for (const Node& node : graph.nodes) {
    const auto used = node.attributes.find("stream");
    if (used != node.attributes.end()) stream = std::max(stream, std::get<int64_t>(used->second) + 1);
  }
  return stream;
}

}  // namespace kiln
