#pragma once

#include <new>
#include <stdexcept>
#include <string>

namespace kiln {

/// What a program ends with; documented in every --help.
enum class ExitCode { done = 0, failure = 1, usage = 2, data = 3, non_finite = 4, interrupted = 130 };

/// A failure that is told to the user in one line, with the exit code that goes with it.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  int exit_code() const { return static_cast<int>(code_); }

 private:
  ExitCode code_;
};

/// Something outside the user's input failed: a write, memory, the machine.
struct Failure : Error {
  explicit Failure(const std::string& message) : Error(ExitCode::failure, message) {}
};

/// A flag or its value is wrong.
struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};

/// A file is not what it should be.
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(ExitCode::data, message) {}
};

/// Loss or weights became infinite or not a number.
struct NonFiniteError : Error {
  explicit NonFiniteError(const std::string& message) : Error(ExitCode::non_finite, message) {}
};

/// What the work returns; or, of what it throws, the exit code that belongs to it, after `report` was given the
/// message.
template <class Work, class Report>
int guarded(const Work& work, const Report& report) {
  try {
    return work();
  } catch (const Error& error) {
    report(error.what());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    report("not enough memory");
  } catch (const std::exception& error) {
    report(error.what());
  }
  return static_cast<int>(ExitCode::failure);
}

}  // namespace kiln
