#pragma once

#include <string>

namespace kiln {

/// The table of all operators in Markdown, from their records: docs/operators.md is this text.
std::string operator_table();

}  // namespace kiln
