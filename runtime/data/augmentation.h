#pragma once

#include <cstdint>
#include <string>

namespace kiln {

/// A random map of each image: affine, about its centre, and then elastic (Simard, Steinkraus, Platt 2003), by a smooth
/// field of displacements: a cubic B-spline of 7 x 7 random vectors, four spans along each axis whatever the size.
struct Augmentation {
  float rotation_degrees = 0;  // uniform in [-r, r]
  float shift_pixels = 0;      // uniform in [-s, s], along each axis
  float zoom = 0;              // factor uniform in [1 - z, 1 + z], along each axis
  float shear_degrees = 0;     // uniform in [-d, d]

  float elastic_pixels = 0;  // the vectors are uniform in [-e, e], along each axis

  bool any() const { return *this != Augmentation(); }
  bool operator==(const Augmentation&) const = default;
};

/// "rotation=10,shift=2,zoom=0.1,shear=5,elastic=4", any subset; throws UsageError.
Augmentation parse_augmentation(const std::string& text);
std::string to_string(const Augmentation& augmentation);

/// One image (row-major, bytes) through the map that seed and counter determine: bilinear, zero outside, 255 becomes 1.
void augment(const Augmentation& augmentation, const uint8_t* in, float* out, int height, int width, int channels,
             uint64_t seed, uint64_t counter);

}  // namespace kiln
