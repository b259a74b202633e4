#pragma once

#include <string>
#include <vector>

#include "codegen/model.h"
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

/// Reads a schedule file's requests: one a line; # begins a comment. Throws a UserError with file and line.
std::vector<ScheduleRequest> read_schedule_file(const std::string& path);

/// What a kernel computes and for which processor, as twelve hexadecimal digits: tuned schedules are kept under it.
std::string schedule_key(const Program& program, const Kernel& kernel, const std::string& target);

/// Sets the kernels' schedules. Later requests win knob by knob; one that names another recipe forgets the knobs before
/// it. Throws a UserError for a name that no kernel has, and for a knob or value that its kernel does not take.
Model with_schedules(Model model, const std::vector<ScheduleRequest>& requests, const std::string& target);

}  // namespace kiln
