#include "codegen/schedule_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "codegen/kernel_bitcode.h"
#include "ir/error.h"

namespace kiln {
namespace {

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

bool matches(const ScheduleRequest& request, const Program& program, const Kernel& kernel, const std::string& target) {
  if (request.kernel.starts_with("@")) return request.kernel == "@" + schedule_key(program, kernel, target);
  // The kernels of one row have recipes of their own: they are meant only when their program is named.
  return (request.kernel == kernel.name && program.lanes > 1) || request.kernel == program.name + "/" + kernel.name;
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

std::vector<ScheduleRequest> read_schedule_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw UserError(fmt::format("{}: cannot be read", path));
  std::vector<ScheduleRequest> requests;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string text = trimmed(line.substr(0, line.find('#')));
    if (!text.empty()) requests.push_back(parse_schedule_request(text, fmt::format("{}:{}", path, number)));
  }
  if (file.bad()) throw UserError(fmt::format("{}: cannot be read", path));
  return requests;
}

std::string schedule_key(const Program& program, const Kernel& kernel, const std::string& target) {
  Kernel plain = kernel;
  plain.schedule.clear();
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: against mix-ups, not against malice
  for (const char c : kernel_signature(program, plain) + target)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{:016x}", hash).substr(4);
}

Model with_schedules(Model model, const std::vector<ScheduleRequest>& requests, const std::string& target) {
  for (const ScheduleRequest& request : requests) {
    bool found = request.kernel.starts_with("@");  // a tuned shape that the graph no longer has does no harm
    for (Program& program : model.programs) {
      for (Kernel& kernel : program.kernels) {
        if (!matches(request, program, kernel, target)) continue;
        found = true;
        if (request.knobs.count("recipe")) kernel.schedule.clear();
        for (const auto& [knob, value] : request.knobs) kernel.schedule[knob] = value;
        try {
          kernel_knobs(program, kernel, target);
        } catch (const UserError& error) {
          throw UserError(fmt::format("{}: {}", request.origin, error.what()));
        }
      }
    }
    if (!found) {
      throw UserError(
          fmt::format("{}: there is no kernel '{}'; --list-schedules shows them all", request.origin, request.kernel));
    }
  }
  return model;
}

}  // namespace kiln
