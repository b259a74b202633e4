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

/// Text that may quote a file, for a terminal: one line, and no control character, which could do anything there.
inline std::string one_line(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool second = c >= 0x80 && c < 0xa0 && i > 0 && text[i - 1] == '\xc2';  // UTF-8 of U+0080 to U+009F
    if (second) text[i - 1] = '?';
    if (c == '\n')
      text[i] = ' ';
    else if (c < 32 || c == 127 || second)
      text[i] = '?';
  }
  return text;
}

/// What the work returns; or, of what it throws, the exit code that belongs to it, after `report` was given the
/// message, as a line.
template <class Work, class Report>
int guarded(const Work& work, const Report& report) {
  try {
    return work();
  } catch (const Error& error) {
    report(one_line(error.what()));
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    report(std::string("not enough memory"));
  } catch (const std::exception& error) {
    report(one_line(error.what()));
  }
  return static_cast<int>(ExitCode::failure);
}

}  // namespace kiln
