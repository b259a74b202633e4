#include "data/pen.h"

#include <algorithm>
#include <cmath>

namespace kiln {
namespace {

void draw(const std::vector<Segment>& segments, Point offset, int width, int height, std::span<float> image) {
  std::fill(image.begin(), image.end(), 0.0F);
  for (const Segment& segment : segments) {
    const Point a = {segment.a.x + offset.x, segment.a.y + offset.y},
                b = {segment.b.x + offset.x, segment.b.y + offset.y};
    const float reach = segment.radius + 0.7F;
    const int x0 = std::max(0, static_cast<int>(std::floor(std::min(a.x, b.x) - reach))),
              x1 = std::min(width - 1, static_cast<int>(std::max(a.x, b.x) + reach) + 1);
    const int y0 = std::max(0, static_cast<int>(std::floor(std::min(a.y, b.y) - reach))),
              y1 = std::min(height - 1, static_cast<int>(std::max(a.y, b.y) + reach) + 1);
    const float dx = b.x - a.x, dy = b.y - a.y, inverse = 1 / std::max(dx * dx + dy * dy, 1e-6F);
    for (int y = y0; y <= y1; ++y) {
      for (int x = x0; x <= x1; ++x) {
        const float px = static_cast<float>(x) - a.x, py = static_cast<float>(y) - a.y;
        const float along = std::clamp((px * dx + py * dy) * inverse, 0.0F, 1.0F);
        const float ex = px - along * dx, ey = py - along * dy;
        const float ink = std::clamp(segment.radius + 0.5F - std::sqrt(ex * ex + ey * ey), 0.0F, 1.0F);
        float& value = image[static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x)];
        value = std::max(value, ink);
      }
    }
  }
}

}  // namespace

void fit_into_box(std::vector<Segment>& segments, float box, float radius, float shortest) {
  Point low = {1e9F, 1e9F}, high = {-1e9F, -1e9F};
  for (const Segment& segment : segments) {
    for (const Point p : {segment.a, segment.b}) {
      low = {std::min(low.x, p.x), std::min(low.y, p.y)};
      high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    }
  }
  const float longest = std::max({high.x - low.x, high.y - low.y, shortest}), scale = (box - 2 * radius) / longest;
  for (Segment& segment : segments) {
    for (Point* p : {&segment.a, &segment.b}) *p = {(p->x - low.x) * scale + radius, (p->y - low.y) * scale + radius};
  }
}

void draw_centred(const std::vector<Segment>& segments, float box, int64_t height, int64_t width,
                  std::span<float> image) {
  const auto rows = static_cast<int>(height), columns = static_cast<int>(width);
  const Point margin = {(static_cast<float>(width) - box) / 2, (static_cast<float>(height) - box) / 2};
  draw(segments, margin, columns, rows, image);
  float mass = 0, mass_x = 0, mass_y = 0;
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < columns; ++x) {
      const float ink = image[static_cast<size_t>(y) * static_cast<size_t>(columns) + static_cast<size_t>(x)];
      mass += ink;
      mass_x += ink * static_cast<float>(x);
      mass_y += ink * static_cast<float>(y);
    }
  }
  if (mass == 0) return;
  const Point centre = {static_cast<float>(width - 1) / 2.0F, static_cast<float>(height - 1) / 2.0F};
  draw(segments, {margin.x + std::round(centre.x - mass_x / mass), margin.y + std::round(centre.y - mass_y / mass)},
       columns, rows, image);
}

std::vector<uint8_t> drawn_image(const std::vector<Stroke>& strokes, int64_t height, int64_t width) {
  const float box = static_cast<float>(std::min(height, width)) * 20 / 28;
  const float radius = box / 16;          // of MNIST's pens, about
  constexpr float kShortest = 1.0F / 16;  // of a way that is one and no dot
  std::vector<Segment> segments;
  for (const Stroke& stroke : strokes) {
    for (size_t i = 0; i < stroke.size(); ++i) segments.push_back({stroke[i == 0 ? 0 : i - 1], stroke[i], radius});
  }
  fit_into_box(segments, box, radius, kShortest);
  std::vector<float> ink(static_cast<size_t>(height * width));
  draw_centred(segments, box, height, width, ink);
  std::vector<uint8_t> pixels(ink.size());
  std::transform(ink.begin(), ink.end(), pixels.begin(),
                 [](float value) { return static_cast<uint8_t>(std::lround(255 * value)); });
  return pixels;
}

}  // namespace kiln
