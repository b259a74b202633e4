#pragma once

#include "ir/graph.h"

/// What convolution and pooling share: windows over the two image dimensions.
namespace kiln {

struct Padding {
  enum class Kind { valid, same, explicit_ } kind = Kind::valid;
  int64_t top = 0, bottom = 0, left = 0, right = 0;

  static Padding valid() { return {}; }
  /// TensorFlow's rule: output = ceil(input / stride), the odd element of padding at the bottom and right.
  static Padding same() { return {.kind = Kind::same}; }
  static Padding explicit_(int64_t top, int64_t bottom, int64_t left, int64_t right) {
    return {Kind::explicit_, top, bottom, left, right};
  }
};

/// One image dimension's window: output position o reads o * stride + k * dilation - before for k < size.
struct Window {
  int64_t input, size, stride, dilation, before, output;
};

/// The two windows (height, width) of an operator on N x height x width x channels; throws UserError at `location`
/// when one does not fit.
std::vector<Window> windows(const char* op, const Shape& x, const std::vector<int64_t>& size,
                            const std::vector<int64_t>& strides, const std::vector<int64_t>& dilation, Padding padding,
                            Location location);

/// What a random use of an operator with windows takes.
struct WindowChoice {
  std::vector<int64_t> size, strides, dilation;
  Padding padding;
};
/// On x; where it `pools`, without dilation, and every window holds an element.
WindowChoice random_window(Choices& choices, const Shape& x, bool pools);

/// Whether any window position is an element: with strides and padding all may lie beside.
bool reads_input(const Window& window);

/// Throws where one of a pooling operator's windows would hold nothing but padding.
void check_pool_windows(const Call& call);

/// Windows as an attribute and back.
std::vector<int64_t> encode(const std::vector<Window>& windows);
std::vector<Window> decode_windows(const std::vector<int64_t>& values);

}  // namespace kiln
