#pragma once

#include <cstdint>
#include <string>

namespace kiln {

/// A random affine map of each image about its centre.
struct Augmentation {
  float rotation_degrees = 0;  // uniform in [-r, r]
  float shift_pixels = 0;      // uniform in [-s, s], along each axis
  float zoom = 0;              // factor uniform in [1 - z, 1 + z], along each axis
  float shear_degrees = 0;     // uniform in [-d, d]

  bool any() const { return rotation_degrees != 0 || shift_pixels != 0 || zoom != 0 || shear_degrees != 0; }
};

/// "rotation=10,shift=2,zoom=0.1,shear=5", any subset; throws UsageError.
Augmentation parse_augmentation(const std::string& text);
std::string to_string(const Augmentation& augmentation);

/// One image (row-major, bytes) through the map that seed and counter determine: bilinear, zero outside, 255 becomes 1.
void augment(const Augmentation& augmentation, const uint8_t* in, float* out, int height, int width, int channels,
             uint64_t seed, uint64_t counter);

}  // namespace kiln
