#include "codegen/schedule_requests.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/kernel_bitcode.h"
#include "ir/error.h"

namespace kiln {
namespace {

bool matches(const ScheduleRequest& request, const Program& program, const Kernel& kernel, const std::string& target) {
  if (request.kernel.starts_with("@")) return request.kernel == "@" + schedule_key(program, kernel, target);
  // The kernels of one row have recipes of their own: they are meant only when their program is named.
  return (request.kernel == kernel.name && program.lanes > 1) || request.kernel == program.name + "/" + kernel.name;
}

}  // namespace

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
