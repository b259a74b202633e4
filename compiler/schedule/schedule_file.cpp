#include "schedule/schedule_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "ir/error.h"

namespace kiln {
namespace {

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

ScheduleRequest parse_schedule_request(const std::string& text, const std::string& origin) {
  const auto colon = text.find(':');
  ScheduleRequest request{trimmed(text.substr(0, colon)), {}, origin};
  if (colon == std::string::npos || request.kernel.empty()) {
    throw UserError(
        fmt::format("{}: '{}' names no kernel; write kernel:knob=value,knob=value, such as "
                    "conv2d_1.forward:recipe=winograd,tile=6",
                    origin, text));
  }
  std::string pairs = text.substr(colon + 1);
  std::replace(pairs.begin(), pairs.end(), ',', ' ');
  std::istringstream words(pairs);
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == word.size())
      throw UserError(fmt::format("{}: '{}' is no knob=value", origin, word));
    if (!request.knobs.emplace(word.substr(0, equals), word.substr(equals + 1)).second)
      throw UserError(fmt::format("{}: {} is given twice", origin, word.substr(0, equals)));
  }
  if (request.knobs.empty()) throw UserError(fmt::format("{}: '{}' sets no knob", origin, text));
  return request;
}

std::vector<ScheduleRequest> parse_schedule_file(std::string_view text, const std::string& name) {
  std::vector<ScheduleRequest> requests;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string request = trimmed(std::string(line.substr(0, line.find('#'))));
    if (!request.empty()) requests.push_back(parse_schedule_request(request, fmt::format("{}:{}", name, number)));
  }
  return requests;
}

std::vector<ScheduleRequest> read_schedule_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  if (file) text << file.rdbuf();
  if (!file || file.bad()) throw UserError(fmt::format("{}: cannot be read", path));
  return parse_schedule_file(text.str(), path);
}

}  // namespace kiln
