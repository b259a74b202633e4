#include "ops/window.h"

#include <algorithm>

namespace kiln {
namespace {

constexpr int64_t kLargest = 1 << 15;  // of a number whose products kernels compute in 32 bits

}  // namespace

std::vector<Window> windows(const char* op, const Shape& x, const std::vector<int64_t>& size,
                            const std::vector<int64_t>& strides, const std::vector<int64_t>& dilation, Padding padding,
                            Location location) {
  const auto fail = [&](const std::string& message) { throw UserError(location, op, message); };
  if (x.size() != 4) fail(fmt::format("input must have rank 4 (batch, height, width, channels), got {}", to_string(x)));
  std::vector<Window> result;
  for (size_t i = 0; i < 2; ++i) {
    const char* const name = i == 0 ? "height" : "width";
    for (const auto& [values, what] : {std::pair{&size, "window"}, {&strides, "stride"}, {&dilation, "dilation"}}) {
      if (values->size() != 2)
        fail(fmt::format("{} must have 2 numbers (height, width), got {}", what, values->size()));
      if ((*values)[i] < 1) fail(fmt::format("{} of the {} must be positive, got {}", what, name, (*values)[i]));
      if ((*values)[i] > kLargest) fail(fmt::format("{} of the {} is too large: {}", what, name, (*values)[i]));
    }
    Window window = {x[i + 1], size[i], strides[i], dilation[i], 0, 0};
    const int64_t reach = (window.size - 1) * window.dilation + 1;
    int64_t after = 0;
    if (padding.kind == Padding::Kind::same) {
      const int64_t output = (window.input + window.stride - 1) / window.stride;
      const int64_t total = std::max<int64_t>((output - 1) * window.stride + reach - window.input, 0);
      window.before = total / 2;
      after = total - window.before;
    } else if (padding.kind == Padding::Kind::explicit_) {
      window.before = i == 0 ? padding.top : padding.left;
      after = i == 0 ? padding.bottom : padding.right;
      if (window.before < 0 || after < 0) fail("padding must not be negative");
      if (window.before > kLargest || after > kLargest) fail("padding is too large");
    }
    const int64_t room = window.input + window.before + after - reach;
    if (room < 0) {
      fail(fmt::format("a window of {} {} does not fit into {}{}", name, reach, to_string(x),
                       padding.kind == Padding::Kind::valid ? "; pad it, or use .padding = Padding::same()" : ""));
    }
    window.output = room / window.stride + 1;
    result.push_back(window);
  }
  return result;
}

WindowChoice random_window(Choices& choices, const Shape& x, bool pools) {
  WindowChoice window;
  Padding& padding = window.padding;
  padding.kind = choices.pick({Padding::Kind::valid, Padding::Kind::same, Padding::Kind::explicit_});
  for (size_t i = 0; i < 2; ++i) {
    window.strides.push_back(choices.integer(1, pools ? 4 : 3));
    window.dilation.push_back(pools ? 1 : choices.integer(1, 3));
    const int64_t fitting = (x[i + 1] - 1) / window.dilation[i] + 1;
    window.size.push_back(choices.integer(1, padding.kind == Padding::Kind::same ? 4 : std::min<int64_t>(4, fitting)));
    if (padding.kind != Padding::Kind::explicit_) continue;
    for (int64_t* amount : {i == 0 ? &padding.top : &padding.left, i == 0 ? &padding.bottom : &padding.right}) {
      *amount = choices.integer(0, pools ? window.size[i] - 1 : 3);
    }
  }
  return window;
}

bool reads_input(const Window& w) {
  for (int64_t i = 0; i < w.output * w.size; ++i) {
    const int64_t position = i / w.size * w.stride + i % w.size * w.dilation - w.before;
    if (position >= 0 && position < w.input) return true;
  }
  return false;
}

void check_pool_windows(const Call& call) {
  for (const Window& w : decode_windows(call.attribute<std::vector<int64_t>>("windows"))) {
    if (w.before >= w.size || (w.output - 1) * w.stride - w.before >= w.input) {
      call.fail("a window would hold nothing but padding; pad less");
    }
  }
}

std::vector<int64_t> encode(const std::vector<Window>& windows) {
  std::vector<int64_t> values;
  for (const Window& w : windows)
    values.insert(values.end(), {w.input, w.size, w.stride, w.dilation, w.before, w.output});
  return values;
}

std::vector<Window> decode_windows(const std::vector<int64_t>& values) {
  std::vector<Window> result;
  for (size_t i = 0; i + 5 < values.size(); i += 6) {
    result.push_back({values[i], values[i + 1], values[i + 2], values[i + 3], values[i + 4], values[i + 5]});
  }
  return result;
}

}  // namespace kiln
