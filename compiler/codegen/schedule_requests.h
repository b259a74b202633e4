#pragma once

#include <string>
#include <vector>

#include "codegen/model.h"
#include "schedule/schedule_file.h"

namespace kiln {

/// What a kernel computes and for which processor, as twelve hexadecimal digits: tuned schedules are kept under it.
std::string schedule_key(const Program& program, const Kernel& kernel, const std::string& target);

/// Sets the kernels' schedules. Later requests win knob by knob; one that names another recipe forgets the knobs before
/// it. Throws a UserError for a name that no kernel has, and for a knob or value that its kernel does not take.
Model with_schedules(Model model, const std::vector<ScheduleRequest>& requests, const std::string& target);

}  // namespace kiln
