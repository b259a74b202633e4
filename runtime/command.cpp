#include "command.h"

#include <fmt/format.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <ostream>
#include <thread>

#include "error.h"

namespace kiln {

int run_command(const std::string& name, std::ostream& out, std::ostream& err, const std::function<int()>& work) {
  const auto report = [&](const std::string& message) { err << name << ": error: " << message << std::endl; };
  const int code = guarded(work, report);
  if (out.flush() || code != 0) return code;
  report("standard output cannot be written");
  return static_cast<int>(ExitCode::failure);
}

void require_other_files(std::span<const FlagFile> inputs, std::span<const FlagFile> outputs) {
  for (const FlagFile& output : outputs) {
    std::error_code error;  // a file that is not there is no other's
    if (!std::filesystem::is_regular_file(output.path, error)) continue;
    for (const FlagFile& input : inputs) {
      if (std::filesystem::equivalent(output.path, input.path, error)) {
        throw UsageError(
            fmt::format("{} {}: this file is read by {}; give another one", output.flag, output.path, input.flag));
      }
    }
  }
  const auto place = [](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path));
  };
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (outputs[i].path.empty() || outputs[j].path.empty() || place(outputs[i].path) != place(outputs[j].path))
        continue;
      std::error_code error;
      if (std::filesystem::exists(outputs[i].path, error) && !std::filesystem::is_regular_file(outputs[i].path, error))
        continue;  // /dev/null takes both
      throw UsageError(fmt::format("{} {}: this file is written by {}; give another one", outputs[i].flag,
                                   outputs[i].path, outputs[j].flag));
    }
  }
}

std::function<std::string(const std::string&)> number_from(double low, double high) {
  return [low, high](const std::string& text) -> std::string {
    // CLI11 would read 010 as 8.
    const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
    const auto digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
    size_t first = sign;
    while (first < text.size() && text[first] == '0' && digit(first + 1)) ++first;
    if (first > sign)
      return fmt::format("'{}' begins with a zero; write {}{}", text, text.substr(0, sign), text.substr(first));
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool number = error == std::errc() && end == text.data() + text.size();
    if (number && value >= low && value <= high) return {};  // not true of a NaN
    return fmt::format("'{}' is not a number from {} to {}", text, low, high);
  };
}

void add_config_file(CLI::App& app) {
  app.set_config("--config", "", "Read flags from this file too: epochs = 14, a line each; the command line goes first")
      ->option_text("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  // A value is one: with the usual comma CLI11 takes rotation=10,shift=2 and a path with a space apart.
  app.get_config_formatter_base()->arrayDelimiter(';');
}

std::optional<std::string> parse_flags(CLI::App& app, const std::vector<std::string>& arguments) {
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
    // An empty value would be taken for a flag that was not given: --train "$UNSET" would train on something else.
    for (const CLI::Option* option : app.get_options()) {
      const std::vector<std::string>& values = option->results();
      if (std::find(values.begin(), values.end(), "") != values.end())
        throw UsageError(fmt::format("{}: is empty; give it a value or leave it out", option->get_name()));
    }
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    return app.help();
  } catch (const CLI::CallForVersion& version) {
    return std::string(version.what()) + '\n';
  } catch (const CLI::ConfigError& error) {  // ends in the item that no flag has
    const std::string text = error.what();
    throw UsageError(fmt::format("{}: there is no flag --{}; see --help", app.get_config_ptr()->as<std::string>(),
                                 text.substr(text.rfind(' ') + 1)));
  } catch (const CLI::FileError&) {
    throw UsageError(fmt::format("--config: cannot read {}", app.get_config_ptr()->as<std::string>()));
  } catch (const CLI::ExtrasError&) {
    throw UsageError(fmt::format("unknown argument {}; see --help", app.remaining().front()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{}; see --help", error.what()));
  }
}

int thread_count(int asked) {
  if (asked > 0) return asked;
  cpu_set_t cores;  // those that the process may use, which taskset and containers restrict
  if (::sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::string format_duration(double seconds) {
  if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<int64_t>(std::lround(seconds));
  if (whole < 3600) return fmt::format("{}m {}s", whole / 60, whole % 60);
  return fmt::format("{}h {}m {}s", whole / 3600, whole % 3600 / 60, whole % 60);
}

}  // namespace kiln
