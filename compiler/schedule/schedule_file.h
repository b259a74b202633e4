#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schedule/knobs.h"

namespace kiln {

/// A line of a schedule file, or a --schedule flag: "conv2d_1.forward: recipe=winograd tile=6".
struct ScheduleRequest {
  // Its name (in every program but predict_one), "program/name" for one program, or "@<key>" for kernels of that key.
  std::string kernel;
  KernelSchedule knobs;
  std::string origin;  // "--schedule", or "digits.schedule:3"
};

/// Reads one request: kernel, a colon, and knob=value pairs between spaces or commas. Throws a UserError.
ScheduleRequest parse_schedule_request(const std::string& text, const std::string& origin);

/// Reads a schedule file's requests: one a line; # begins a comment. Throws a UserError with `name` and line.
std::vector<ScheduleRequest> parse_schedule_file(std::string_view text, const std::string& name);

/// The same from the disk.
std::vector<ScheduleRequest> read_schedule_file(const std::string& path);

}  // namespace kiln
