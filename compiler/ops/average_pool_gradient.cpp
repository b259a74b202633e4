#include "ops/average_pool_gradient.h"

#include "ops/average_window.h"
#include "ops/max_pool.h"

namespace kiln {
namespace {

using Halide::Expr;

Type type(const Call& call) {
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  const Shape& cotangent = call.shape(0);
  return {{cotangent[0], windows[0].input, windows[1].input, cotangent[3]}, ElementType::real};
}

// A gather: the windows that hold input row h are those of output rows (h + before) / stride - j for j below
// size / stride, rounded up: one row where windows do not overlap.
Definition define(const Call& call) {
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  Shape overlap;
  for (const Window& w : windows) overlap.push_back((w.size + w.stride - 1) / w.stride);
  const auto share = [windows](const Operands& in, const Index& at, const Index& r) {
    Index index = at;
    Expr inside = Halide::Internal::const_true();
    for (size_t i = 0; i < 2; ++i) {
      const Window& w = windows[i];
      const Expr position = at[i + 1] + static_cast<int>(w.before);
      const Expr output = position / static_cast<int>(w.stride) - r[i];
      inside = inside && output >= 0 && output < static_cast<int>(w.output) &&
               position - output * static_cast<int>(w.stride) < static_cast<int>(w.size);
      index[i + 1] = Halide::clamp(output, 0, static_cast<int>(w.output) - 1);
    }
    const Expr value = in.read(0, index) * average_weight(in, windows, index[1], index[2]);
    return Halide::select(inside, value, in.constant(0));
  };
  if (overlap == Shape{1, 1}) {
    const auto rule = [share](const Operands& in, const Index& at) { return share(in, at, {Expr(0), Expr(0)}); };
    Definition definition = gathering(map(rule, 12), {0});
    definition.period = {1, windows[0].stride, windows[1].stride, 1};
    return definition;
  }
  return fold(Fold::sum, overlap, share);
}

Sample sample(Choices& choices) {
  const Shape x = choices.image();
  const auto window = pool_windows("average_pool", x, random_pool(choices, x), Location::here());
  const Type cotangent = {{kBatch, window[0].output, window[1].output, x[3]}};
  return {.inputs = {cotangent},
          .build = [window](const std::vector<Tensor>& in) { return average_pool_gradient(in[0], encode(window)); },
          .differentiable = false};
}

}  // namespace

const Operator average_pool_gradient_operator = {
    .name = "average_pool_gradient",
    .documentation =
        "The cotangent of average_pool's input: each window's cotangent, divided evenly among its elements.",
    .type = type,
    .define = define,
    .sample = sample,
};

Tensor average_pool_gradient(Tensor cotangent, std::vector<int64_t> windows, Location location) {
  return cotangent.graph().append(average_pool_gradient_operator, {cotangent}, {{"windows", std::move(windows)}},
                                  location);
}

}  // namespace kiln
