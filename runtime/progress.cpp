#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <ostream>
#include <string_view>

namespace kiln {
namespace {

constexpr int kBarWidth = 20;
constexpr double kInterval = 0.05;  // seconds between updates

std::string repeat(std::string_view text, int64_t times) {
  std::string result;
  for (int64_t i = 0; i < times; ++i) result += text;
  return result;
}

// A line that knows how many columns it takes: escapes none, every character one.
class Line {
 public:
  explicit Line(const ProgressStyle& style) : style_(style) {}

  void add(std::string_view text, std::string_view color = "") {
    const bool colored = style_.color && !color.empty() && !text.empty();
    if (colored) text_ += color;
    for (size_t i = 0; i < text.size();) {
      size_t next = i + 1;  // past the rest of a UTF-8 character
      while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xc0) == 0x80) ++next;
      if (limit_ > 0 && width_ == limit_) break;
      text_.append(text.substr(i, next - i));
      ++width_;
      i = next;
    }
    if (colored) text_ += "\x1b[0m";
  }

  void limit(int columns) { limit_ = columns; }
  const std::string& text() const { return text_; }

 private:
  const ProgressStyle& style_;
  std::string text_;
  int width_ = 0, limit_ = 0;
};

std::string format_remaining(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  if (seconds > 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole % 3600 / 60, whole % 60);
  if (seconds > 60) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

void add_bar(Line& line, int64_t step, int64_t steps) {
  const std::string total = fmt::format("{}", steps);
  line.add(fmt::format("{:>{}}/{}", step, total.size(), total), "\x1b[1m");
  line.add(" ");
  const int64_t done = kBarWidth * step / steps;
  line.add(repeat("━", done), "\x1b[32m");
  line.add(repeat("━", kBarWidth - done), "\x1b[37m");
  line.add(" ");
}

}  // namespace

ProgressStyle standard_output_style() {
  ProgressStyle style;
  const char* terminal = std::getenv("TERM");
  style.terminal = isatty(STDOUT_FILENO) == 1 && !(terminal && std::string_view(terminal) == "dumb");
  const char* no_color = std::getenv("NO_COLOR");
  style.color = style.terminal && !(no_color && *no_color);
  winsize size = {};
  if (style.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) style.columns = size.ws_col;
  return style;
}

std::string format_step_time(double seconds) {
  if (seconds >= 1 || seconds == 0) return fmt::format("{:.0f}s/step", seconds);
  if (seconds >= 1e-3) return fmt::format("{:.0f}ms/step", seconds * 1e3);
  return fmt::format("{:.0f}us/step", seconds * 1e6);
}

std::string format_metrics(const MetricValues& values) {
  std::string text;
  for (const auto& [name, value] : values) {
    text +=
        std::abs(value) > 1e-3 ? fmt::format(" - {}: {:.4f}", name, value) : fmt::format(" - {}: {:.4e}", name, value);
  }
  return text;
}

void Progress::begin_epoch(int epoch, int epochs, int64_t steps, int64_t first_step) {
  epoch_ = epoch;
  epochs_ = epochs;
  steps_ = steps;
  first_step_ = first_step;
  next_ = 0;
  if (style_.terminal) out_ << fmt::format("Epoch {}/{}\n", epoch, epochs) << std::flush;
}

void Progress::update(int64_t step, double seconds, const MetricValues& values) {
  if (!due(seconds)) return;
  next_ = seconds + kInterval;
  const double per_step = step > first_step_ ? seconds / static_cast<double>(step - first_step_) : 0;
  Line line(style_);
  line.limit(style_.columns - 1);
  add_bar(line, step, steps_);
  line.add(format_remaining(per_step * static_cast<double>(steps_ - step)), "\x1b[1m");
  line.add(" " + format_step_time(per_step) + format_metrics(values));
  out_ << '\r' << line.text() << "\x1b[K" << std::flush;
  line_open_ = true;
}

void Progress::end_epoch(double seconds, double seconds_per_step, const MetricValues& values) {
  const std::string time = format_step_time(seconds_per_step);
  if (style_.terminal) {
    Line line(style_);
    add_bar(line, steps_, steps_);
    line.add(fmt::format("{:.0f}s", seconds), "\x1b[1m");
    line.add(" " + time + format_metrics(values));
    out_ << '\r' << line.text() << "\x1b[K\n" << std::flush;
  } else {
    out_ << fmt::format("Epoch {}/{} - {}/{} - {:.0f}s - {}{}\n", epoch_, epochs_, steps_, steps_, seconds, time,
                        format_metrics(values))
         << std::flush;
  }
  line_open_ = false;
}

void Progress::interrupt() {
  if (line_open_) out_ << std::endl;
  line_open_ = false;
}

}  // namespace kiln
