#include "data/pen.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kiln {
namespace {

struct Ink {
  int left = 1000, right = -1, top = 1000, bottom = -1;
  double mass = 0, x = 0, y = 0;  // the centre
};

Ink ink_of(const std::vector<uint8_t>& pixels, int width) {
  Ink ink;
  for (int i = 0; i < static_cast<int>(pixels.size()); ++i) {
    const double value = pixels[static_cast<size_t>(i)];
    if (value == 0) continue;
    const int x = i % width, y = i / width;
    ink.left = std::min(ink.left, x);
    ink.right = std::max(ink.right, x);
    ink.top = std::min(ink.top, y);
    ink.bottom = std::max(ink.bottom, y);
    ink.mass += value;
    ink.x += value * x;
    ink.y += value * y;
  }
  ink.x /= ink.mass;
  ink.y /= ink.mass;
  return ink;
}

TEST(DrawnImage, FillsTheBoxAlongItsLongerSide) {
  const auto tall = ink_of(drawn_image({{{.5F, .2F}, {.6F, .8F}}}, 28, 28), 28);
  EXPECT_NEAR(tall.bottom - tall.top + 1, 20, 1);
  EXPECT_LT(tall.right - tall.left, 10);
  const auto wide = ink_of(drawn_image({{{.1F, .5F}, {.4F, .55F}}}, 28, 28), 28);
  EXPECT_NEAR(wide.right - wide.left + 1, 20, 1);
}

TEST(DrawnImage, DependsOnNeitherPlaceNorSize) {
  const std::vector<Stroke> seven = {{{.25F, .25F}, {.75F, .25F}, {.5F, .75F}}, {{.375F, .5F}, {.625F, .5F}}};
  std::vector<Stroke> small = seven;
  for (Stroke& stroke : small) {
    for (Point& p : stroke) p = {.25F * p.x + .5F, .25F * p.y + .125F};
  }
  EXPECT_EQ(drawn_image(seven, 28, 28), drawn_image(small, 28, 28));
}

TEST(DrawnImage, HasItsCentreOfMassInTheMiddle) {
  // Most of the ink is at the bottom: the box's middle is far above it.
  const std::vector<Stroke> strokes = {{{.5F, 0}, {.5F, 1}}, {{.2F, .9F}, {.8F, .9F}}, {{.2F, 1}, {.8F, 1}}};
  for (const auto& [height, width] : {std::pair<int, int>{28, 28}, {64, 64}, {28, 56}}) {
    const Ink ink = ink_of(drawn_image(strokes, height, width), width);
    EXPECT_NEAR(ink.x, (width - 1) / 2.0, 0.6);
    EXPECT_NEAR(ink.y, (height - 1) / 2.0, 0.6);
  }
}

TEST(DrawnImage, IsAntiAliased) {
  const std::vector<uint8_t> pixels = drawn_image({{{.3F, .2F}, {.6F, .9F}}}, 28, 28);
  EXPECT_EQ(*std::max_element(pixels.begin(), pixels.end()), 255);
  EXPECT_GT(std::count_if(pixels.begin(), pixels.end(), [](uint8_t p) { return p > 0 && p < 255; }), 15);
}

TEST(DrawnImage, ADotStaysOneAndNothingIsNothing) {
  const Ink dot = ink_of(drawn_image({{{.1F, .9F}}}, 28, 28), 28);
  EXPECT_LE(dot.right - dot.left, 4);
  EXPECT_NEAR(dot.x, 13.5, 0.6);
  EXPECT_EQ(drawn_image({}, 28, 28), std::vector<uint8_t>(784));
  EXPECT_EQ(drawn_image({{}}, 28, 28), std::vector<uint8_t>(784));
}

}  // namespace
}  // namespace kiln
