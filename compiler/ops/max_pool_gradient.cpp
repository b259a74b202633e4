#include "ops/max_pool_gradient.h"

#include "ops/definition.h"
#include "ops/max_pool.h"
#include "ops/window.h"

namespace kiln {
namespace {

using Halide::Expr;

Type type(const Call& call) { return call.inputs[0]; }

// A gather: element (h, w) sums the cotangents of the windows in which it is the first largest element, that is, larger
// than all before it and not smaller than any after it. (Equality with the stored output would not do: a value that a
// fused kernel computes again may be rounded differently.) Equal elements must stay equal: without strict_float a
// common term moves out of the maximum of two elements but not out of the third, which is then rounded differently.
// Position k of a window is (h + before - k) / stride; for windows that do not overlap (stride >= size) one k is left,
// h % stride.
Definition define(const Call& call) {
  const auto windows = decode_windows(call.attribute<std::vector<int64_t>>("windows"));
  Definition definition = map([windows](const Operands& in, const Index& at) {
    const Window &wh = windows[0], &ww = windows[1];
    const auto i = [](int64_t value) { return static_cast<int>(value); };
    Expr total = in.constant(0);
    const Expr x = Halide::strict_float(in.read(0, at));
    const bool separate = wh.stride >= wh.size && ww.stride >= ww.size;
    // For separate windows there is one window to look at, and the position in it is an expression.
    for (int64_t a = 0; a < (separate ? 1 : wh.size); ++a) {
      for (int64_t b = 0; b < (separate ? 1 : ww.size); ++b) {
        const Expr h = at[1] + i(wh.before), w = at[2] + i(ww.before);
        const Expr kh = separate ? h % i(wh.stride) : Expr(i(a)), kw = separate ? w % i(ww.stride) : Expr(i(b));
        const Expr oh = (h - kh) / i(wh.stride), ow = (w - kw) / i(ww.stride);
        Expr valid = oh >= 0 && oh < i(wh.output) && ow >= 0 && ow < i(ww.output);
        if (separate) {
          valid = valid && kh < i(wh.size) && kw < i(ww.size);
        } else {
          valid = valid && (h - kh) % i(wh.stride) == 0 && (w - kw) % i(ww.stride) == 0;
        }
        const Index out = {at[0], Halide::clamp(oh, 0, i(wh.output) - 1), Halide::clamp(ow, 0, i(ww.output) - 1),
                           at[3]};
        Expr first = Halide::Internal::const_true();
        for (int64_t p = 0; p < wh.size; ++p) {
          for (int64_t q = 0; q < ww.size; ++q) {
            const Expr earlier = i(p) < kh || (i(p) == kh && i(q) < kw);
            const Expr itself = i(p) == kh && i(q) == kw;
            const Index index = {at[0], out[1] * i(wh.stride) + i(p - wh.before),
                                 out[2] * i(ww.stride) + i(q - ww.before), at[3]};
            const Expr other = Halide::strict_float(in.read_or(0, index, in.constant(kLowest)));
            first = first && (itself || Halide::select(earlier, other < x, other <= x));
          }
        }
        const Expr share = Halide::select(valid && first, in.read(1, out), in.constant(0));
        total = a == 0 && b == 0 ? share : total + share;
      }
    }
    return total;
  });
  const bool separate = windows[0].stride >= windows[0].size && windows[1].stride >= windows[1].size;
  definition.cost =
      separate ? 8 : static_cast<int>(4 * windows[0].size * windows[0].size * windows[1].size * windows[1].size);
  definition.period = {1, windows[0].stride, windows[1].stride, 1};
  return gathering(definition, {0, 1});
}

Sample sample(Choices& choices) {
  const Shape x = choices.image();
  const auto window = pool_windows("max_pool", x, random_pool(choices, x), Location::here());
  const Type cotangent = {{kBatch, window[0].output, window[1].output, x[3]}};
  return {.inputs = {{x}, cotangent},
          .build = [window](const std::vector<Tensor>& in) { return max_pool_gradient(in[0], in[1], encode(window)); },
          .distinct = true,
          .differentiable = false};
}

}  // namespace

const Operator max_pool_gradient_operator = {
    .name = "max_pool_gradient",
    .documentation =
        "The cotangent of max_pool's input: each window's cotangent goes to its first largest element in row-major "
        "order.",
    .type = type,
    .define = define,
    .sample = sample,
};

Tensor max_pool_gradient(Tensor x, Tensor cotangent, std::vector<int64_t> windows, Location location) {
  return x.graph().append(max_pool_gradient_operator, {x, cotangent}, {{"windows", std::move(windows)}}, location);
}

}  // namespace kiln
