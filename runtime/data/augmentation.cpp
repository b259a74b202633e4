#include "data/augmentation.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <numbers>

#include "error.h"
#include "random.h"

namespace kiln {
namespace {

struct Key {
  const char* name;
  float Augmentation::*value;
  float limit;
};

constexpr Key kKeys[] = {{"rotation", &Augmentation::rotation_degrees, 180},
                         {"shift", &Augmentation::shift_pixels, 1000},
                         {"zoom", &Augmentation::zoom, 0.9F},
                         {"shear", &Augmentation::shear_degrees, 60}};

/// The largest integer that is not above `value`. std::floor is a call into the C library on processors before SSE4.1,
/// and this runs twice a pixel.
int floor_to_int(float value) {
  const int cut = static_cast<int>(value);
  return cut - static_cast<int>(value < static_cast<float>(cut));
}

/// Source pixels from outside the image are zero.
float pixel(const uint8_t* in, int height, int width, int channels, int y, int x, int c) {
  if (static_cast<unsigned>(y) >= static_cast<unsigned>(height) ||
      static_cast<unsigned>(x) >= static_cast<unsigned>(width))
    return 0;
  return in[(y * width + x) * channels + c];
}

}  // namespace

Augmentation parse_augmentation(const std::string& text) {
  Augmentation result;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    const size_t equals = item.find('=');
    const std::string name = item.substr(0, equals),
                      number = equals == std::string::npos ? "" : item.substr(equals + 1);
    bool known = false;
    for (const Key& key : kKeys) {
      if (name != key.name) continue;
      known = true;
      float value = 0;
      const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
      if (number.empty() || parsed.ec != std::errc() || parsed.ptr != number.data() + number.size() ||
          !(value >= 0 && value <= key.limit)) {
        throw UsageError(
            fmt::format("--augment: {} takes a number from 0 to {}, got '{}'", key.name, key.limit, number));
      }
      result.*key.value = value;
    }
    if (!known)
      throw UsageError(fmt::format(
          "--augment: there is no '{}'; there are rotation, shift, zoom and shear, as in rotation=10,shift=2", name));
    begin = end + 1;
  }
  return result;
}

std::string to_string(const Augmentation& augmentation) {
  std::string text;
  for (const Key& key : kKeys) {
    if (augmentation.*key.value != 0)
      text += fmt::format("{}{}={}", text.empty() ? "" : ",", key.name, augmentation.*key.value);
  }
  return text;
}

void augment(const Augmentation& augmentation, const uint8_t* in, float* out, int height, int width, int channels,
             uint64_t seed, uint64_t counter) {
  const auto first = philox(seed, 0x6175676d656e74, 2 * counter),
             second = philox(seed, 0x6175676d656e74, 2 * counter + 1);
  const auto around_zero = [](uint32_t bits, float limit) { return (2 * unit_float(bits) - 1) * limit; };
  constexpr float kRadians = std::numbers::pi_v<float> / 180;
  const float angle = around_zero(first[0], augmentation.rotation_degrees) * kRadians;
  const float shift_x = around_zero(first[1], augmentation.shift_pixels),
              shift_y = around_zero(first[2], augmentation.shift_pixels);
  const float zoom_x = 1 + around_zero(first[3], augmentation.zoom),
              zoom_y = 1 + around_zero(second[0], augmentation.zoom);
  const float shear = std::tan(around_zero(second[1], augmentation.shear_degrees) * kRadians);

  // From each output pixel back to where it comes from: about the centre, zoom^-1 * rotation * shear.
  const float c = std::cos(angle), s = std::sin(angle);
  const float xx = c / zoom_x, xy = (c * shear - s) / zoom_x, yx = s / zoom_y, yy = (s * shear + c) / zoom_y;
  const float centre_x = static_cast<float>(width - 1) / 2, centre_y = static_cast<float>(height - 1) / 2;
  const int row = width * channels;
  const unsigned inner_width = static_cast<unsigned>(width - 1), inner_height = static_cast<unsigned>(height - 1);
  for (int y = 0; y < height; ++y) {
    const float dy = static_cast<float>(y) - centre_y - shift_y;
    float* out_row = out + y * row;
    for (int x = 0; x < width; ++x) {
      const float dx = static_cast<float>(x) - centre_x - shift_x;
      const float from_x = xx * dx + xy * dy + centre_x, from_y = yx * dx + yy * dy + centre_y;
      const int x0 = floor_to_int(from_x), y0 = floor_to_int(from_y);
      const float part_x = from_x - static_cast<float>(x0), part_y = from_y - static_cast<float>(y0);
      const auto blend = [&](float a, float b, float c, float d) {
        const float top = a + part_x * (b - a), bottom = c + part_x * (d - c);
        return top + part_y * (bottom - top);
      };
      if (static_cast<unsigned>(x0) < inner_width && static_cast<unsigned>(y0) < inner_height) {
        const uint8_t* p = in + y0 * row + x0 * channels;  // all four neighbours are inside: no test for each
        for (int i = 0; i < channels; ++i, ++p)
          out_row[x * channels + i] = blend(p[0], p[channels], p[row], p[row + channels]);
      } else {
        const auto at = [&](int j, int i, int channel) {
          return pixel(in, height, width, channels, y0 + j, x0 + i, channel);
        };
        for (int i = 0; i < channels; ++i)
          out_row[x * channels + i] = blend(at(0, 0, i), at(0, 1, i), at(1, 0, i), at(1, 1, i));
      }
    }
    for (int i = 0; i < row; ++i) out_row[i] /= 255.0F;  // apart from the gathering above, so that it is vectorised
  }
}

}  // namespace kiln
