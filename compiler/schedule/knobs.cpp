#include "schedule/knobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ir/error.h"

namespace kiln {

std::string Knobs::choose(const std::string& name, const std::vector<std::string>& legal, const std::string& standard) {
  const auto requested = requested_.find(name);
  const std::string value = requested == requested_.end() ? standard : requested->second;
  if (std::find(legal.begin(), legal.end(), value) == legal.end()) {
    throw UserError(fmt::format("schedule of {}: {}={} is not possible here; {} takes {}", kernel_, name, value, name,
                                fmt::join(legal, ", ")));
  }
  chosen_.push_back({name, legal, standard, value});
  return value;
}

int Knobs::choose(const std::string& name, const std::vector<int>& legal, int standard) {
  std::vector<std::string> words;
  words.reserve(legal.size());
  for (int value : legal) words.push_back(std::to_string(value));
  return std::stoi(choose(name, words, std::to_string(standard)));
}

bool Knobs::choose(const std::string& name, bool standard) {
  return choose(name, std::vector<std::string>{"no", "yes"}, standard ? "yes" : "no") == "yes";
}

void Knobs::expect_all_used() const {
  for (const auto& [name, value] : requested_) {
    const bool used = std::any_of(chosen_.begin(), chosen_.end(), [&](const Knob& knob) { return knob.name == name; });
    if (used) continue;
    std::vector<std::string> names;
    for (const Knob& knob : chosen_) names.push_back(knob.name);
    throw UserError(
        fmt::format("schedule of {}: there is no knob '{}' here; {}", kernel_, name,
                    names.empty() ? "this kernel has none" : fmt::format("there are {}", fmt::join(names, ", "))));
  }
}

std::string to_string(const std::vector<Knob>& knobs) {
  std::string text;
  for (const Knob& knob : knobs) text += (text.empty() ? "" : " ") + knob.name + "=" + knob.value;
  return text;
}

std::vector<int> divisors(int extent, int limit) {
  std::vector<int> result;
  for (int d = 1; d <= std::min(extent, limit); ++d) {
    if (extent % d == 0) result.push_back(d);
  }
  return result;
}

int divisor(int extent, int limit) { return divisors(extent, std::max(1, limit)).back(); }

int tile_count(int64_t extent, int tile) { return static_cast<int>((extent + tile - 1) / tile); }

std::vector<int> range(int from, int to) {
  std::vector<int> result;
  for (int i = from; i <= to; ++i) result.push_back(i);
  return result;
}

}  // namespace kiln
