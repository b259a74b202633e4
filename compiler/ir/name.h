#pragma once

#include <string>

#include "ir/location.h"

namespace kiln {

/// Throws a UserError where the name of an input, output, metric, or parameter could not be written everywhere it
/// goes: JSON, CSV headers, C strings, Graphviz. `subject` is the call that gives it.
void check_name(const std::string& name, const char* subject, Location location);

/// Throws a UserError where the graph's name is no C identifier: its files and symbols are called so.
void check_graph_name(const std::string& name, Location location);

}  // namespace kiln
