#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "file_system.h"
#include "interrupt.h"
#include "progress.h"

namespace CLI {
class App;
}

namespace kiln {

/// What a command touches of the world outside it, so that tests can give it another.
struct CommandEnvironment {
  std::ostream& out;
  std::ostream& err;
  FileSystem& files;
  ProgressStyle style = {};
  std::function<bool()> interrupted = Interrupt::requested;
};

/// Runs the work of the command `name`; what it throws becomes the line "name: error: message" and the exit code that
/// belongs to it. Work that was done is a failure where what it printed could not be written.
int run_command(const std::string& name, std::ostream& out, std::ostream& err, const std::function<int()>& work);

/// For CLI11's check(): a number from `low` to `high`, in a message without CLI11's strings of zeros. No zero goes
/// before its digits.
std::function<std::string(const std::string&)> number_from(double low, double high);

/// Adds --config FILE, which gives any flag: `epochs = 14`, a line each. The command line goes before it.
void add_config_file(CLI::App& app);

/// Reads the arguments, the program's name not among them. The text that --help or --version asks for, else nothing;
/// throws UsageError.
std::optional<std::string> parse_flags(CLI::App& app, const std::vector<std::string>& arguments);

/// A file that a flag names.
struct FlagFile {
  const char* flag;
  const std::string& path;  // empty: not given
};

/// Throws UsageError where an output is the very file that an input is read from, or that another output is written to.
void require_other_files(std::span<const FlagFile> inputs, std::span<const FlagFile> outputs);

/// A line of --json. Bytes of a path that are no UTF-8, which JSON has not, become U+FFFD.
template <class Json>
void print_json(std::ostream& out, const Json& json) {
  out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

/// The threads to use: as asked, or (0) as many as the process may run on.
int thread_count(int asked);

/// "1m 23s", "8.1s"
std::string format_duration(double seconds);

}  // namespace kiln
