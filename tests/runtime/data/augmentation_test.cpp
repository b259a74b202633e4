// Augmentation: the map that each number allows, read back from ramps; what comes of an image under that map.
#include "data/augmentation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "error.h"
#include "random.h"

namespace kiln {
namespace {

constexpr int kSize = 28;
constexpr double kCentre = (kSize - 1) / 2.0;

std::vector<float> augmented(const Augmentation& augmentation, const std::vector<uint8_t>& image, int height, int width,
                             int channels, uint64_t seed, uint64_t counter) {
  std::vector<float> out(image.size(), std::numeric_limits<float>::quiet_NaN());
  augment(augmentation, image.data(), out.data(), height, width, channels, seed, counter);
  return out;
}

std::vector<uint8_t> noise(size_t size, uint64_t seed = 1) {
  std::vector<uint8_t> image(size);
  for (size_t i = 0; i < size; ++i) image[i] = static_cast<uint8_t>(philox(seed, 0, i)[0]);
  return image;
}

/// Where output pixels come from: source = matrix * (pixel - centre) + centre + offset.
struct Map {
  double xx, xy, yx, yy, offset_x, offset_y;
};

/// Reads the map from what becomes of a ramp along x and one along y: between the pixels of a ramp bilinear values are
/// exact. The middle pixels suffice, which come from inside for every augmentation of these tests.
Map map_of(const Augmentation& augmentation, uint64_t seed, uint64_t counter) {
  constexpr int kStep = 8, kAt = 12;  // 8 * 27 is below 256
  std::vector<uint8_t> ramp_x, ramp_y;
  for (int i = 0; i < kSize * kSize; ++i) {
    ramp_x.push_back(static_cast<uint8_t>(kStep * (i % kSize)));
    ramp_y.push_back(static_cast<uint8_t>(kStep * (i / kSize)));
  }
  const auto from_x = augmented(augmentation, ramp_x, kSize, kSize, 1, seed, counter);
  const auto from_y = augmented(augmentation, ramp_y, kSize, kSize, 1, seed, counter);
  const auto at = [](const std::vector<float>& out, int y, int x) {
    return double{out[static_cast<size_t>(y * kSize + x)]} * 255 / kStep;
  };
  Map map = {at(from_x, kAt, kAt + 3) - at(from_x, kAt, kAt),
             at(from_x, kAt + 3, kAt) - at(from_x, kAt, kAt),
             at(from_y, kAt, kAt + 3) - at(from_y, kAt, kAt),
             at(from_y, kAt + 3, kAt) - at(from_y, kAt, kAt),
             0,
             0};
  for (double* slope : {&map.xx, &map.xy, &map.yx, &map.yy}) *slope /= 3;
  const double d = kAt - kCentre;
  map.offset_x = at(from_x, kAt, kAt) - kCentre - (map.xx + map.xy) * d;
  map.offset_y = at(from_y, kAt, kAt) - kCentre - (map.yx + map.yy) * d;
  return map;
}

/// That `values` are spread over all of [low, high], evenly.
void expect_uniform(const std::vector<double>& values, double low, double high) {
  const double span = high - low, slack = 1e-3 * std::max(1.0, std::fabs(high));
  double mean = 0, square = 0;
  for (const double value : values) {
    EXPECT_GE(value, low - slack);
    EXPECT_LE(value, high + slack);
    const double unit = (value - low) / span;
    mean += unit / static_cast<double>(values.size());
    square += unit * unit / static_cast<double>(values.size());
  }
  // Six standard deviations of the mean of 1000 uniform values (0.289 / sqrt(1000)) and of their squares (0.298).
  ASSERT_EQ(values.size(), 1000U);
  EXPECT_NEAR(mean, 1.0 / 2, 0.055);
  EXPECT_NEAR(square, 1.0 / 3, 0.057);
}

template <class Read>
std::vector<double> draws(const Augmentation& augmentation, Read read) {
  std::vector<double> values;
  for (uint64_t counter = 0; counter < 1000; ++counter) values.push_back(read(map_of(augmentation, 3, counter)));
  return values;
}

/// The mean product of what lies about `middle`, in units of `reach`: 1/3 for the same number twice, and for
/// independent ones 0, six standard deviations of which are 6 / 3 / sqrt(1000) = 0.064.
double correlation(const std::vector<double>& x, const std::vector<double>& y, double middle, double reach) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += (x[i] - middle) / reach * (y[i] - middle) / reach;
  return sum / static_cast<double>(x.size());
}

constexpr double kDegrees = 180 / std::numbers::pi;

TEST(AugmentationTest, WithoutAnyTheImageIsOnlyScaled) {
  const auto image = noise(kSize * kSize);
  const auto out = augmented({}, image, kSize, kSize, 1, 1, 2);
  for (size_t i = 0; i < image.size(); ++i) EXPECT_EQ(out[i], static_cast<float>(image[i]) / 255.0F);
}

TEST(AugmentationTest, RotationIsUniformInDegreesAndKeepsLengths) {
  Augmentation augmentation;
  augmentation.rotation_degrees = 20;
  expect_uniform(draws(augmentation, [](const Map& map) { return std::atan2(map.yx, map.xx) * kDegrees; }), -20, 20);
  for (uint64_t counter = 0; counter < 20; ++counter) {
    const Map map = map_of(augmentation, 3, counter);
    EXPECT_NEAR(map.xx * map.xx + map.yx * map.yx, 1, 1e-4);
    EXPECT_NEAR(map.xx, map.yy, 1e-4);
    EXPECT_NEAR(map.xy, -map.yx, 1e-4);
    EXPECT_NEAR(map.offset_x, 0, 1e-3);  // about the centre
    EXPECT_NEAR(map.offset_y, 0, 1e-3);
  }
}

TEST(AugmentationTest, ShiftIsUniformInPixelsAlongEachAxis) {
  Augmentation augmentation;
  augmentation.shift_pixels = 3;
  const auto x = draws(augmentation, [](const Map& map) { return map.offset_x; });
  const auto y = draws(augmentation, [](const Map& map) { return map.offset_y; });
  expect_uniform(x, -3, 3);
  expect_uniform(y, -3, 3);
  EXPECT_NEAR(correlation(x, y, 0, 3), 0, 0.065);
  const Map map = map_of(augmentation, 3, 4);
  EXPECT_NEAR(map.xx, 1, 1e-4);
  EXPECT_NEAR(map.xy, 0, 1e-4);
}

TEST(AugmentationTest, ZoomIsAUniformFactorAlongEachAxis) {
  Augmentation augmentation;
  augmentation.zoom = 0.25F;
  // A picture twice as large comes from steps half as wide.
  const auto x = draws(augmentation, [](const Map& map) { return 1 / map.xx; });
  const auto y = draws(augmentation, [](const Map& map) { return 1 / map.yy; });
  expect_uniform(x, 0.75, 1.25);
  expect_uniform(y, 0.75, 1.25);
  EXPECT_NEAR(correlation(x, y, 1, 0.25), 0, 0.065);
  const Map map = map_of(augmentation, 3, 4);
  EXPECT_NEAR(map.xy, 0, 1e-4);
  EXPECT_NEAR(map.yx, 0, 1e-4);
  EXPECT_NEAR(map.offset_x, 0, 1e-3);
}

TEST(AugmentationTest, ShearIsUniformInDegreesAndKeepsLines) {
  Augmentation augmentation;
  augmentation.shear_degrees = 15;
  expect_uniform(draws(augmentation, [](const Map& map) { return std::atan(map.xy) * kDegrees; }), -15, 15);
  const Map map = map_of(augmentation, 3, 4);
  EXPECT_NEAR(map.xx, 1, 1e-4);
  EXPECT_NEAR(map.yy, 1, 1e-4);
  EXPECT_NEAR(map.yx, 0, 1e-4);  // rows stay rows
}

/// The uniform cubic B-spline about 2, by truncated powers.
double spline(double u) {
  double sum = 0;
  const double binomial[] = {1, -4, 6, -4, 1};
  for (int k = 0; k <= 4; ++k) sum += binomial[k] * std::pow(std::max(0.0, u - k), 3) / 6;
  return u < 4 ? sum : 0;
}

/// The covariance of displacements at two pixels of an axis, of vectors with variance 1.
double shared_weight(int a, int b) {
  double sum = 0;
  for (int k = 0; k < 7; ++k) {
    const auto weight = [&](int at) { return spline((at + 0.5) * 4 / kSize - k + 3); };
    sum += weight(a) * weight(b);
  }
  return sum;
}

// At four pixels of 4000 images: bounded, centred, and as similar as a spline of independent vectors makes them.
TEST(AugmentationTest, ElasticDisplacementsAreASplineOfUniformVectors) {
  constexpr double kLimit = 3;
  Augmentation augmentation;
  augmentation.elastic_pixels = kLimit;
  struct Pixel {
    int y, x;
  };
  constexpr Pixel kPixels[] = {{12, 12}, {12, 14}, {15, 12}, {12, 20}};
  std::vector<uint8_t> ramp_x, ramp_y;
  for (int i = 0; i < kSize * kSize; ++i) {
    ramp_x.push_back(static_cast<uint8_t>(8 * (i % kSize)));
    ramp_y.push_back(static_cast<uint8_t>(8 * (i / kSize)));
  }
  std::vector<double> along[2][4];
  for (uint64_t counter = 0; counter < 4000; ++counter) {
    const auto from_x = augmented(augmentation, ramp_x, kSize, kSize, 1, 3, counter);
    const auto from_y = augmented(augmentation, ramp_y, kSize, kSize, 1, 3, counter);
    for (size_t p = 0; p < 4; ++p) {
      const auto at = static_cast<size_t>(kPixels[p].y * kSize + kPixels[p].x);
      along[0][p].push_back(double{from_x[at]} * 255 / 8 - kPixels[p].x);
      along[1][p].push_back(double{from_y[at]} * 255 / 8 - kPixels[p].y);
    }
  }
  const auto covariance = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum / static_cast<double>(a.size());
  };
  const double variance = kLimit * kLimit / 3;
  for (size_t p = 0; p < 4; ++p) {
    const Pixel a = kPixels[0], b = kPixels[p];
    const double expected = variance * shared_weight(a.y, b.y) * shared_weight(a.x, b.x);
    for (const auto& axis : along) {
      for (const double value : axis[p]) EXPECT_LE(std::fabs(value), kLimit);
      // Six standard deviations of a mean of 4000 products.
      EXPECT_NEAR(covariance(axis[0], axis[p]), expected, 6 * std::sqrt(2.0 / 4000) * variance * 0.3) << p;
    }
    EXPECT_NEAR(covariance(along[0][0], along[1][p]), 0, 6 * std::sqrt(1.0 / 4000) * variance * 0.3);
  }
}

// Everything at once on noise, against the definition in f64; the frame of zeros included.
TEST(AugmentationTest, ValuesAreBilinearAndZeroOutside) {
  const Augmentation augmentation = {30, 3, 0.3F, 15, 0};
  const auto image = noise(kSize * kSize);
  const auto source = [&](int y, int x) {
    return y < 0 || x < 0 || y >= kSize || x >= kSize ? 0.0 : image[static_cast<size_t>(y * kSize + x)] / 255.0;
  };
  int outside = 0;
  for (uint64_t counter = 0; counter < 50; ++counter) {
    const Map map = map_of(augmentation, 9, counter);
    const auto out = augmented(augmentation, image, kSize, kSize, 1, 9, counter);
    for (int y = 0; y < kSize; ++y) {
      for (int x = 0; x < kSize; ++x) {
        const double dx = x - kCentre, dy = y - kCentre;
        const double from_x = map.xx * dx + map.xy * dy + kCentre + map.offset_x;
        const double from_y = map.yx * dx + map.yy * dy + kCentre + map.offset_y;
        const int x0 = static_cast<int>(std::floor(from_x)), y0 = static_cast<int>(std::floor(from_y));
        const double px = from_x - x0, py = from_y - y0;
        const double expected = (1 - py) * ((1 - px) * source(y0, x0) + px * source(y0, x0 + 1)) +
                                py * ((1 - px) * source(y0 + 1, x0) + px * source(y0 + 1, x0 + 1));
        outside += x0 < -1 || y0 < -1 || x0 >= kSize || y0 >= kSize;
        // The map read from the ramps is exact to 2e-6 a pixel of distance in f32, and noise changes by up to 1 a pixel
        // along each axis.
        EXPECT_NEAR(out[static_cast<size_t>(y * kSize + x)], expected, 2e-4)
            << "image " << counter << " at " << y << "," << x;
      }
    }
  }
  EXPECT_GT(outside, 100);  // so that the frame was looked at
}

TEST(AugmentationTest, AFarShiftLeavesNothing) {
  Augmentation augmentation;
  augmentation.shift_pixels = 1000;
  int blank = 0;
  for (uint64_t counter = 0; counter < 50; ++counter) {
    const auto out = augmented(augmentation, std::vector<uint8_t>(kSize * kSize, 255), kSize, kSize, 1, 1, counter);
    blank += std::all_of(out.begin(), out.end(), [](float value) { return value == 0; });
  }
  EXPECT_GT(blank, 45);
}

TEST(AugmentationTest, SeedAndCounterDetermineIt) {
  const Augmentation augmentation = {10, 2, 0.1F, 5, 3};
  const auto image = noise(kSize * kSize);
  const auto once = augmented(augmentation, image, kSize, kSize, 1, 5, 6);
  EXPECT_EQ(augmented(augmentation, image, kSize, kSize, 1, 5, 6), once);
  EXPECT_NE(augmented(augmentation, image, kSize, kSize, 1, 5, 7), once);
  EXPECT_NE(augmented(augmentation, image, kSize, kSize, 1, 6, 6), once);
  EXPECT_NE(augmented(augmentation, image, kSize, kSize, 1, 5, 6 + (uint64_t{1} << 40)), once);
}

TEST(AugmentationTest, ChannelsAreMappedAlikeAtAnySize) {
  const Augmentation augmentation = {25, 1.5F, 0.2F, 10, 2};
  for (const auto& [height, width, channels] : {std::tuple{1, 1, 1}, {1, 9, 2}, {9, 1, 3}, {7, 5, 3}, {5, 31, 4}}) {
    const size_t pixels = static_cast<size_t>(height * width), deep = static_cast<size_t>(channels);
    const auto image = noise(pixels * deep);
    const auto whole = augmented(augmentation, image, height, width, channels, 1, 8);
    for (size_t c = 0; c < deep; ++c) {
      std::vector<uint8_t> plane;
      for (size_t i = 0; i < pixels; ++i) plane.push_back(image[i * deep + c]);
      const auto alone = augmented(augmentation, plane, height, width, 1, 1, 8);
      for (size_t i = 0; i < pixels; ++i) EXPECT_EQ(whole[i * deep + c], alone[i]);
    }
  }
}

TEST(AugmentationTest, FlagIsReadAndWritten) {
  const Augmentation all = parse_augmentation("rotation=10,shift=2,zoom=0.1,shear=5.5,elastic=4");
  EXPECT_EQ(all.rotation_degrees, 10);
  EXPECT_EQ(all.shift_pixels, 2);
  EXPECT_EQ(all.zoom, 0.1F);
  EXPECT_EQ(all.shear_degrees, 5.5F);
  EXPECT_EQ(all.elastic_pixels, 4);
  EXPECT_EQ(to_string(all), "rotation=10,shift=2,zoom=0.1,shear=5.5,elastic=4");
  EXPECT_EQ(to_string(parse_augmentation("shift=2")), "shift=2");
  EXPECT_FALSE(parse_augmentation("shift=0").any());
  for (const char* one : {"rotation=1", "shift=1", "zoom=0.5", "shear=1", "elastic=1"})
    EXPECT_TRUE(parse_augmentation(one).any());
}

TEST(AugmentationTest, AWrongFlagIsRefused) {
  const std::pair<const char*, const char*> table[] = {
      {"", "--augment: there is no ''; there are rotation, shift, zoom, shear and elastic, as in rotation=10,shift=2"},
      {"flip=1",
       "--augment: there is no 'flip'; there are rotation, shift, zoom, shear and elastic, as in rotation=10,shift=2"},
      {"shift=1,",
       "--augment: there is no ''; there are rotation, shift, zoom, shear and elastic, as in rotation=10,shift=2"},
      {"rotation", "--augment: rotation takes a number from 0 to 180, got ''"},
      {"rotation=", "--augment: rotation takes a number from 0 to 180, got ''"},
      {"rotation=ten", "--augment: rotation takes a number from 0 to 180, got 'ten'"},
      {"rotation=10deg", "--augment: rotation takes a number from 0 to 180, got '10deg'"},
      {"shift=1,rotation=181", "--augment: rotation takes a number from 0 to 180, got '181'"},
      {"shift=-1", "--augment: shift takes a number from 0 to 1000, got '-1'"},
      {"zoom=1", "--augment: zoom takes a number from 0 to 0.9, got '1'"},
      {"zoom=nan", "--augment: zoom takes a number from 0 to 0.9, got 'nan'"},
      {"shear=inf", "--augment: shear takes a number from 0 to 60, got 'inf'"},
  };
  for (const auto& [text, message] : table) {
    try {
      parse_augmentation(text);
      ADD_FAILURE() << text << " was taken";
    } catch (const UsageError& error) {
      EXPECT_STREQ(error.what(), message);
    }
  }
}

}  // namespace
}  // namespace kiln
