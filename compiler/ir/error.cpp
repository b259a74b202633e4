#include "ir/error.h"

#include <fmt/format.h>

#include <fstream>

namespace kiln {
namespace {

/// "\n   31 |   x = dense(x, ...);", or nothing where the file cannot be read.
std::string quoted_line(Location location) {
  std::ifstream file(location.file);
  std::string text;
  for (int line = 0; line < location.line; ++line) {
    if (!std::getline(file, text)) return "";
  }
  return location.line > 0 ? fmt::format("\n{:>5} | {}", location.line, text) : "";
}

}  // namespace

UserError::UserError(Location location, const std::string& subject, const std::string& message)
    : std::runtime_error(
          fmt::format("{}:{}: {}: {}{}", location.file, location.line, subject, message, quoted_line(location))) {}

}  // namespace kiln
