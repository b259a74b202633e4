#include "data/synthetic_digits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <thread>

#include "data/pen.h"
#include "random.h"

namespace kiln {
namespace {

constexpr int kSize = 28;
constexpr float kBox = 20;  // MNIST scales a digit into 20 x 20 pixels of the 28 x 28

/// One way to write a digit, in a unit square; a stroke is smooth through its points (a Catmull-Rom spline).
using Allograph = std::vector<Stroke>;

// How people write the digits; the ways are equally likely.
// A stroke is a row of points, not a column.
// clang-format off
const std::array<std::vector<Allograph>, 10>& allographs() {
  static const std::array<std::vector<Allograph>, 10> table = {{
      // 0: an oval, begun at the top or at the side
      {{{{.55F, 0}, {.2F, .12F}, {.05F, .5F}, {.2F, .88F}, {.5F, 1}, {.82F, .86F}, {.95F, .48F}, {.8F, .12F},
        {.52F, .01F}}},
       {{{.72F, .06F}, {.35F, .04F}, {.08F, .3F}, {.08F, .7F}, {.38F, .99F}, {.75F, .88F}, {.93F, .5F},
        {.85F, .15F}, {.6F, .02F}}}},
      // 1: a bar; with a flag; with flag and foot
      {{{{.5F, 0}, {.5F, .33F}, {.5F, .66F}, {.5F, 1}}},
       {{{.3F, .22F}, {.42F, .12F}, {.55F, 0}}, {{.55F, 0}, {.54F, .35F}, {.53F, .7F}, {.52F, 1}}},
       {{{.28F, .2F}, {.42F, .1F}, {.52F, 0}}, {{.52F, 0}, {.52F, .5F}, {.52F, 1}}, {{.28F, 1}, {.52F, .99F},
        {.78F, 1}}}},
      // 2: with a corner; with a loop
      {{{{.08F, .25F}, {.25F, .05F}, {.6F, 0}, {.88F, .2F}, {.8F, .48F}, {.45F, .75F}, {.06F, .98F}}, {{.06F, .98F},
        {.35F, .96F}, {.65F, .97F}, {.96F, .95F}}},
       {{{.12F, .22F}, {.35F, .02F}, {.7F, .05F}, {.85F, .3F}, {.65F, .6F}, {.3F, .88F}, {.1F, .93F}, {.12F, .78F},
        {.32F, .8F}, {.6F, .96F}, {.95F, .92F}}}},
      // 3: round; with a flat top
      {{{{.12F, .12F}, {.4F, 0}, {.78F, .08F}, {.8F, .32F}, {.45F, .47F}, {.82F, .56F}, {.9F, .8F}, {.6F, .99F},
        {.25F, .97F}, {.06F, .85F}}},
       {{{.15F, .03F}, {.5F, .02F}, {.85F, .03F}}, {{.85F, .03F}, {.65F, .22F}, {.42F, .42F}}, {{.42F, .42F},
        {.8F, .48F}, {.9F, .75F}, {.65F, .98F}, {.3F, .98F}, {.08F, .87F}}}},
      // 4: open; closed
      {{{{.2F, .02F}, {.12F, .3F}, {.1F, .52F}, {.4F, .56F}, {.88F, .5F}}, {{.78F, .1F}, {.76F, .4F}, {.72F, .7F},
        {.7F, 1}}},
       {{{.68F, 1}, {.7F, .66F}, {.7F, .33F}, {.68F, 0}}, {{.68F, 0}, {.4F, .32F}, {.05F, .65F}}, {{.05F, .65F},
        {.4F, .66F}, {.98F, .64F}}}},
      // 5: bar first; in one stroke
      {{{{.22F, .04F}, {.2F, .25F}, {.16F, .45F}}, {{.16F, .45F}, {.5F, .38F}, {.86F, .55F}, {.84F, .82F}, {.5F, 1},
        {.1F, .92F}}, {{.22F, .04F}, {.5F, .04F}, {.86F, 0}}},
       {{{.88F, .03F}, {.55F, .03F}, {.3F, .05F}}, {{.3F, .05F}, {.22F, .25F}, {.2F, .42F}}, {{.2F, .42F},
        {.55F, .36F}, {.85F, .58F}, {.75F, .88F}, {.4F, 1}, {.08F, .9F}}}},
      // 6: a bow with a loop
      {{{{.68F, 0}, {.38F, .16F}, {.14F, .5F}, {.14F, .82F}, {.42F, 1}, {.75F, .92F}, {.82F, .68F}, {.55F, .52F},
        {.26F, .6F}, {.13F, .8F}}},
       {{{.6F, 0}, {.3F, .25F}, {.12F, .65F}, {.28F, .95F}, {.62F, .98F}, {.84F, .76F}, {.66F, .53F}, {.35F, .58F},
        {.18F, .78F}}}},
      // 7: plain; with a bar; curved
      {{{{.06F, .06F}, {.5F, .04F}, {.92F, .03F}}, {{.92F, .03F}, {.66F, .4F}, {.48F, .72F}, {.4F, 1}}},
       {{{.08F, .06F}, {.5F, .05F}, {.9F, .04F}}, {{.9F, .04F}, {.66F, .4F}, {.5F, .7F}, {.42F, 1}}, {{.28F, .5F},
        {.55F, .48F}, {.8F, .46F}}},
       {{{.05F, .18F}, {.12F, .04F}, {.5F, .07F}, {.9F, .02F}, {.72F, .32F}, {.55F, .65F}, {.5F, 1}}}},
      // 8: in one stroke; two circles
      {{{{.78F, .12F}, {.45F, 0}, {.18F, .16F}, {.3F, .4F}, {.7F, .58F}, {.84F, .82F}, {.5F, 1}, {.16F, .84F},
        {.3F, .58F}, {.68F, .4F}, {.82F, .18F}, {.7F, .06F}}},
       {{{.5F, .46F}, {.22F, .34F}, {.24F, .08F}, {.5F, 0}, {.78F, .08F}, {.78F, .34F}, {.5F, .46F}}, {{.5F, .46F},
        {.14F, .62F}, {.16F, .92F}, {.5F, 1}, {.86F, .92F}, {.86F, .62F}, {.5F, .46F}}}},
      // 9: with a straight stem; with a hook
      {{{{.8F, .16F}, {.5F, 0}, {.18F, .14F}, {.16F, .4F}, {.45F, .52F}, {.76F, .4F}, {.82F, .14F}}, {{.82F, .14F},
        {.8F, .45F}, {.74F, .75F}, {.7F, 1}}},
       {{{.8F, .2F}, {.55F, .01F}, {.2F, .12F}, {.18F, .4F}, {.5F, .5F}, {.78F, .36F}, {.82F, .18F}, {.84F, .5F},
        {.74F, .86F}, {.45F, 1}, {.15F, .9F}}}},
  }};
  return table;
}
// clang-format on

/// Random numbers of one image: a counter under the key (seed, image).
class Draws {
 public:
  Draws(uint64_t seed, uint64_t image) : seed_(seed), image_(image) {}
  float unit() {
    if (used_ == 4) {
      words_ = philox(seed_, image_, counter_++);
      used_ = 0;
    }
    return unit_float(words_[used_++]);
  }
  float uniform(float low, float high) { return low + (high - low) * unit(); }
  /// About normal: the sum of four uniforms, with the given standard deviation.
  float normal(float deviation) { return (unit() + unit() + unit() + unit() - 2) * 1.7320508F * deviation; }
  int below(int count) { return std::min(count - 1, static_cast<int>(unit() * static_cast<float>(count))); }

 private:
  uint64_t seed_, image_, counter_ = 0;
  std::array<uint32_t, 4> words_{};
  size_t used_ = 4;
};

Point spline(Point p0, Point p1, Point p2, Point p3, float t) {
  const auto at = [t](float a, float b, float c, float d) {
    return 0.5F * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t * t * t);
  };
  return {at(p0.x, p1.x, p2.x, p3.x), at(p0.y, p1.y, p2.y, p3.y)};
}

/// The digit's segments in pixels, inside the box at the origin.
std::vector<Segment> write_digit(int digit, Draws& draws) {
  const auto& ways = allographs()[static_cast<size_t>(digit)];
  const Allograph& way = ways[static_cast<size_t>(draws.below(static_cast<int>(ways.size())))];
  const float slant = draws.normal(0.26F), rotation = draws.normal(0.12F);
  const float aspect = digit == 1 ? draws.uniform(0.25F, 0.6F) : draws.uniform(0.55F, 1.05F);
  // Most people take their time; what the others write is what a network gets wrong.
  const float haste = draws.unit(), wobble = 0.02F + 0.06F * haste * haste;
  const float bend = draws.normal(0.06F), lean = draws.normal(0.06F),
              bend_phase = draws.uniform(0, 2 * std::numbers::pi_v<float>);
  const float c = std::cos(rotation), s = std::sin(rotation);
  const float radius = draws.uniform(0.75F, 1.75F), pressure = draws.uniform(0, 0.3F);

  // A point shared by two strokes stays shared: its jitter depends on where it is.
  std::vector<std::pair<Point, Point>> moved;
  const auto place = [&](Point p) {
    for (const auto& [from, to] : moved) {
      if (from.x == p.x && from.y == p.y) return to;
    }
    const float x = (p.x - 0.5F + draws.normal(wobble) + bend * std::sin(3 * p.y + bend_phase)) * aspect;
    const float y = p.y - 0.5F + draws.normal(wobble) + lean * std::sin(3 * p.x + bend_phase);
    const float sheared = x - slant * y;
    const Point result = {c * sheared - s * y, s * sheared + c * y};
    moved.emplace_back(p, result);
    return result;
  };
  std::vector<Segment> segments;
  float phase = draws.uniform(0, 6);
  for (const Stroke& stroke : way) {
    std::vector<Point> points;
    for (const Point& p : stroke) points.push_back(place(p));
    // The pen is set down and lifted too early or too late.
    const auto miss = [&](Point& end, const Point& next) {
      const float part = draws.normal(0.3F * haste);
      end = {end.x + part * (end.x - next.x), end.y + part * (end.y - next.y)};
    };
    miss(points.front(), points[1]);
    miss(points.back(), points[points.size() - 2]);
    for (size_t i = 0; i + 1 < points.size(); ++i) {
      const Point before = i > 0 ? points[i - 1] : points[i],
                  after = i + 2 < points.size() ? points[i + 2] : points[i + 1];
      constexpr int kSteps = 5;
      Point last = points[i];
      for (int k = 1; k <= kSteps; ++k) {
        const Point next = spline(before, points[i], points[i + 1], after, static_cast<float>(k) / kSteps);
        phase += 0.25F;
        segments.push_back({last, next, radius * (1 + pressure * std::sin(phase))});
        last = next;
      }
    }
  }
  fit_into_box(segments, kBox, radius);
  return segments;
}

void make_image(uint64_t seed, uint64_t index, uint8_t* pixels, int32_t& label) {
  Draws draws(seed, index);
  label = draws.below(10);
  const std::vector<Segment> segments = write_digit(label, draws);
  std::array<float, kSize * kSize> image;
  draw_centred(segments, kBox, kSize, kSize, image);

  const float darkness = draws.uniform(0.85F, 1.0F), grain = draws.uniform(0, 0.12F);
  for (size_t i = 0; i < image.size(); ++i) {
    const float ink = image[i] <= 0 ? 0 : image[i] * (darkness - grain * draws.unit());
    pixels[i] = static_cast<uint8_t>(std::lround(255 * std::clamp(ink, 0.0F, 1.0F)));
  }
}

}  // namespace

Dataset synthetic_digits(int64_t count, uint64_t seed, int threads, int64_t first) {
  Dataset dataset;
  dataset.rows = count;
  dataset.shape = {kSize, kSize, 1};
  dataset.origin = fmt::format("built-in digits {}..{} of seed {}", first, first + count - 1, seed);
  dataset.pixels.resize(static_cast<size_t>(count) * kSize * kSize);
  dataset.labels.resize(static_cast<size_t>(count));
  const auto make = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      make_image(seed, static_cast<uint64_t>(first + i), dataset.pixels.data() + i * kSize * kSize,
                 dataset.labels[static_cast<size_t>(i)]);
    }
  };
  std::vector<std::jthread> workers;  // joined, too, where one cannot be started
  for (int t = 1; t < threads; ++t) workers.emplace_back(make, count * t / threads, count * (t + 1) / threads);
  make(0, count / std::max(threads, 1));
  workers.clear();
  return dataset;
}

}  // namespace kiln
