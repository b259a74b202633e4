#pragma once

#include <stdexcept>
#include <string>

#include "ir/location.h"

namespace kiln {

/// The user's graph, flag or schedule is wrong: exit code 2. `what()` is one line, "file:line: operator: message"
/// when a location is known, followed by the quoted line of the graph file where that file can be read.
class UserError : public std::runtime_error {
 public:
  explicit UserError(const std::string& message) : std::runtime_error(message) {}
  UserError(Location location, const std::string& subject, const std::string& message);
};

/// The compiler itself is wrong: a verifier or an invariant failed. Exit code 1.
class InternalError : public std::logic_error {
 public:
  explicit InternalError(const std::string& message) : std::logic_error("internal error: " + message) {}
};

}  // namespace kiln
