#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kiln {

/// A place on the paper; y goes downwards.
struct Point {
  float x = 0, y = 0;
};

/// A pen's way from where it is set down to where it is lifted.
using Stroke = std::vector<Point>;

/// A straight piece of that way, half as thick as the pen.
struct Segment {
  Point a, b;
  float radius = 0;
};

/// Scales and moves the segments so that their ink, `radius` around the way, fills a square of `box` pixels at the
/// origin along its longer side, as MNIST's digits do. A way shorter than `shortest` is taken for that long: a dot
/// stays one.
void fit_into_box(std::vector<Segment>& segments, float box, float radius, float shortest = 0);

/// The ink of segments that were fitted into a box: 0..1 by distance from the way, soft over a pixel, on an image of
/// height x width, moved by whole pixels so that its centre of mass is in the middle.
void draw_centred(const std::vector<Segment>& segments, float box, int64_t height, int64_t width,
                  std::span<float> image);

/// A drawing, in a unit square, as an image of the kind that MNIST has, whatever its size: 20 of 28 pixels are the box.
std::vector<uint8_t> drawn_image(const std::vector<Stroke>& strokes, int64_t height, int64_t width);

}  // namespace kiln
