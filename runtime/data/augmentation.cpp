#include "data/augmentation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>

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
                         {"shear", &Augmentation::shear_degrees, 60},
                         {"elastic", &Augmentation::elastic_pixels, 1000}};

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

constexpr int kSpans = 4, kVectors = kSpans + 3;

/// The four vectors that a place on an axis of `size` pixels depends on, the first of them, and their weights: the
/// uniform cubic B-spline's.
struct SplineWeights {
  int first;
  float weight[4];
};

SplineWeights spline_weights(int at, int size) {
  const float place = (static_cast<float>(at) + 0.5F) * kSpans / static_cast<float>(size);
  const int span = static_cast<int>(place);  // below kSpans, since at + 0.5 is below size
  const float t = place - static_cast<float>(span), u = 1 - t;
  return {span,
          {u * u * u / 6, (3 * t * t * t - 6 * t * t + 4) / 6, (3 * u * u * u - 6 * u * u + 4) / 6, t * t * t / 6}};
}

/// A smooth field of displacements.
class ElasticField {
 public:
  ElasticField(float limit, uint64_t seed, uint64_t counter) {
    constexpr uint64_t kCalls = kVectors * kVectors / 2 + 1;  // of two vectors each
    for (uint64_t i = 0; i < kCalls; ++i) {
      const auto bits = philox(seed, 0x656c6173746963, counter * kCalls + i);
      for (size_t k = 0; k < 4; ++k) vectors_[4 * i + k] = (2 * unit_float(bits[k]) - 1) * limit;
    }
  }

  /// The displacements of a row's pixels, `count` from `begin` on, are added to x and y.
  void add(int row, int height, int begin, int count, int width, float* x, float* y) const {
    const SplineWeights down = spline_weights(row, height);
    float of_row[2][kVectors] = {};  // the field's vectors at this row
    for (int k = 0; k < 4; ++k) {
      for (int i = 0; i < kVectors; ++i) {
        const float* vector = &vectors_[static_cast<size_t>(2 * ((down.first + k) * kVectors + i))];
        of_row[0][i] += down.weight[k] * vector[0];
        of_row[1][i] += down.weight[k] * vector[1];
      }
    }
    for (int i = 0; i < count; ++i) {
      const SplineWeights along = spline_weights(begin + i, width);
      for (int k = 0; k < 4; ++k) {
        x[i] += along.weight[k] * of_row[0][along.first + k];
        y[i] += along.weight[k] * of_row[1][along.first + k];
      }
    }
  }

 private:
  std::array<float, 2 * kVectors * kVectors + 2> vectors_;
};

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
          "--augment: there is no '{}'; there are rotation, shift, zoom, shear and elastic, as in rotation=10,shift=2",
          name));
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
  // A few pixels of a row at a time: where they come from and what their neighbours give is arithmetic on vectors; only
  // fetching the neighbours goes pixel by pixel.
  constexpr int kPixels = 32;
  int x0[kPixels], y0[kPixels];
  float part_x[kPixels], part_y[kPixels], corner[4][kPixels];
  float from_x[kPixels], from_y[kPixels];
  const int row = width * channels;
  std::optional<ElasticField> elastic;
  if (augmentation.elastic_pixels != 0) elastic.emplace(augmentation.elastic_pixels, seed, counter);
  const unsigned inner_width = static_cast<unsigned>(width - 1), inner_height = static_cast<unsigned>(height - 1);
  for (int y = 0; y < height; ++y) {
    const float dy = static_cast<float>(y) - centre_y - shift_y;
    for (int begin = 0; begin < width; begin += kPixels) {
      const int count = std::min(kPixels, width - begin);
      for (int i = 0; i < count; ++i) {
        const float dx = static_cast<float>(begin + i) - centre_x - shift_x;
        from_x[i] = xx * dx + xy * dy + centre_x;
        from_y[i] = yx * dx + yy * dy + centre_y;
      }
      if (elastic) elastic->add(y, height, begin, count, width, from_x, from_y);
      for (int i = 0; i < count; ++i) {
        x0[i] = floor_to_int(from_x[i]);
        y0[i] = floor_to_int(from_y[i]);
        part_x[i] = from_x[i] - static_cast<float>(x0[i]);
        part_y[i] = from_y[i] - static_cast<float>(y0[i]);
      }
      for (int channel = 0; channel < channels; ++channel) {
        for (int i = 0; i < count; ++i) {
          if (static_cast<unsigned>(x0[i]) < inner_width && static_cast<unsigned>(y0[i]) < inner_height) {
            const uint8_t* p = in + y0[i] * row + x0[i] * channels + channel;
            corner[0][i] = p[0];
            corner[1][i] = p[channels];
            corner[2][i] = p[row];
            corner[3][i] = p[row + channels];
          } else {
            for (int k = 0; k < 4; ++k) {
              corner[k][i] = pixel(in, height, width, channels, y0[i] + k / 2, x0[i] + k % 2, channel);
            }
          }
        }
        float values[kPixels];
        for (int i = 0; i < count; ++i) {
          const float top = corner[0][i] + part_x[i] * (corner[1][i] - corner[0][i]);
          const float bottom = corner[2][i] + part_x[i] * (corner[3][i] - corner[2][i]);
          values[i] = (top + part_y[i] * (bottom - top)) / 255.0F;
        }
        float* to = out + y * row + begin * channels + channel;
        for (int i = 0; i < count; ++i) to[i * channels] = values[i];
      }
    }
  }
}

}  // namespace kiln
