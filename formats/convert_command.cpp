#include "convert_command.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>

#include "checkpoint.h"
#include "child_process.h"
#include "error.h"
#include "graph_source.h"
#include "keras_files.h"
#include "onnx_export.h"
#include "onnx_import.h"
#include "safetensors.h"

namespace kiln {
namespace {

// AddressSanitizer and ThreadSanitizer reserve terabytes of addresses.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr const char* kExamples = R"(Examples:
  kiln_convert runs/digits-1/last.kiln model.keras     for keras.models.load_model, with the optimizer's state
  kiln_convert runs/digits-1/model.kiln model.h5       the same in Keras's older format
  kiln_convert model.keras model.kiln --like runs/digits-1/last.kiln
      A Keras model of the network that last.kiln is of, as a state of Kiln's.
  kiln_convert model.kiln weights.safetensors          the weights alone, under Kiln's names
  kiln_convert model.kiln model.onnx                   the prediction, with its weights, for any ONNX runtime
  kiln_convert model.onnx net.cpp                      an ONNX model's network as a graph file of Kiln's

Formats go by the ending: .kiln, .h5 or .hdf5, .keras, .safetensors, .onnx, and .cpp for a graph file; - is standard
input or output, in Kiln's format. --to FORMAT goes before OUTPUT's ending.

Exit codes: 0 done, 1 failure, 2 usage error or a graph that the format cannot express, 3 bad file.)";

struct ConvertArguments {
  std::string input, output, like, to, name, loss;
};

std::string format_of(const std::string& path) {
  if (path == "-") return "kiln";
  const std::string end = std::filesystem::path(path).extension().string();
  if (end == ".hdf5") return "h5";
  for (const char* format : {"kiln", "h5", "keras", "safetensors", "onnx"}) {
    if (end == std::string(".") + format) return format;
  }
  throw UsageError(fmt::format("{}: its ending is none of .kiln, .h5, .keras, .safetensors, .onnx", path));
}

std::string read_input(const std::string& path) { return read_file(path == "-" ? "/dev/stdin" : path); }

void limit(int resource, uint64_t amount) {
  rlimit now = {};
  ::getrlimit(static_cast<__rlimit_resource_t>(resource), &now);
  now.rlim_cur = now.rlim_max = std::min<rlim_t>(amount, now.rlim_max);
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &now);
}

/// Runs the work in a child with limits that fit inputs of this size; returns what it returned there.
std::string in_child(size_t input_bytes, const std::string& origin, const std::function<std::string()>& work) {
  MemoryFile result("kiln-result"), message("kiln-message");
  const pid_t child = ::fork();
  if (child < 0) throw Failure(fmt::format("no process for the translation: {}", std::strerror(errno)));
  if (child == 0) {
    const uint64_t memory = (512ULL << 20) + 16 * input_bytes;
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, 30 + (input_bytes >> 20));
    limit(RLIMIT_FSIZE, memory);
    limit(RLIMIT_NOFILE, 16);
    if (!kSanitized) limit(RLIMIT_AS, memory);
    const auto end = [&](int code, const std::string& text) noexcept {
      message.fill(text);
      ::_exit(code);
    };
    try {
      result.fill(work());
    } catch (const Error& error) {
      end(error.exit_code(), error.what());
    } catch (const std::bad_alloc&) {
      end(static_cast<int>(ExitCode::data), origin + ": needs more memory than a model of its size may");
    } catch (const std::exception& error) {
      end(static_cast<int>(ExitCode::failure), fmt::format("{}: {}", origin, error.what()));
    }
    ::_exit(0);
  }
  const int status = wait_for(child);
  if (WIFSIGNALED(status)) {
    throw DataError(fmt::format(
        "{}: its reader {} (signal {}); the file is damaged", origin,
        WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL ? "did not come to an end" : "broke down",
        WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) != 0) throw Error(static_cast<ExitCode>(WEXITSTATUS(status)), message.contents());
  return result.contents();
}

std::optional<ConvertArguments> parse(const std::vector<std::string>& arguments, std::ostream& out) {
  ConvertArguments result;
  CLI::App app("Translates saved models between Kiln's format and other tools'.", "kiln_convert");
  app.footer(kExamples);
  app.set_version_flag("--version", fmt::format("kiln_convert {}", KILN_VERSION));
  app.add_option("input", result.input, "The file to read, or -")->option_text("INPUT")->required();
  app.add_option("output", result.output, "The file to write, or -")->option_text("OUTPUT")->required();
  app.add_option("--like", result.like, "A .kiln file of the same network: what another tool's file is read as")
      ->option_text("FILE");
  app.add_option("--to", result.to,
                 "The format to write, whatever OUTPUT's ending: kiln, h5, keras, safetensors, onnx or cpp")
      ->option_text("FORMAT")
      ->check(CLI::IsMember({"kiln", "h5", "hdf5", "keras", "safetensors", "onnx", "cpp"}));
  app.add_option("--name", result.name, "Of a graph file: the graph's name (default: the file's)")->option_text("NAME");
  app.add_option("--loss", result.loss,
                 "Of a graph file: what it is trained on, categorical_cross_entropy (the default for a softmax), "
                 "binary_cross_entropy, mean_squared_error (the default for other outputs) or none")
      ->option_text("LOSS")
      ->check(CLI::IsMember({"categorical_cross_entropy", "binary_cross_entropy", "mean_squared_error", "none"}));
  if (const std::optional<std::string> text = parse_flags(app, arguments)) {
    out << *text;
    return std::nullopt;
  }
  if (result.input == "-" && result.like == "-") throw UsageError("INPUT and --like cannot both be standard input");
  return result;
}

}  // namespace

std::string convert(const Conversion& c) try {
  if (c.to == "cpp") return graph_source(read_onnx(c.bytes, c.origin, c.name).structure, c.loss, c.origin);
  KilnFile file;
  if (c.from == "kiln") {
    file = parse_kiln_file(c.bytes, c.origin);
  } else {
    const KilnFile like = parse_kiln_file(c.like, c.like_origin);
    file = c.from == "h5"      ? from_keras(read_h5(c.bytes, c.origin), like, c.origin)
           : c.from == "keras" ? from_keras(read_keras(c.bytes, c.origin), like, c.origin)
           : c.from == "onnx"  ? with_weights_of(read_onnx(c.bytes, c.origin, "graph"), like, c.origin)
                               : read_safetensors(c.bytes, like, c.origin);
  }
  return c.to == "kiln"    ? kiln_file_bytes(file)
         : c.to == "keras" ? write_keras(to_keras(file, c.origin))
         : c.to == "h5"    ? write_h5(to_keras(file, c.origin))
         : c.to == "onnx"  ? write_onnx(file, c.origin)
                           : write_safetensors(file, c.origin);
} catch (const nlohmann::json::exception& error) {
  throw DataError(fmt::format("{}: its description is not what it should be ({})", c.origin, error.what()));
}

int convert_command(const std::vector<std::string>& arguments, const CommandEnvironment& environment) {
  return run_command("kiln_convert", environment.out, environment.err, [&] {
    const std::optional<ConvertArguments> parsed = parse(arguments, environment.out);
    if (!parsed) return 0;
    Conversion c;
    c.from = format_of(parsed->input);
    c.to = !parsed->to.empty()                                           ? parsed->to
           : std::filesystem::path(parsed->output).extension() == ".cpp" ? "cpp"
                                                                         : format_of(parsed->output);
    if (c.to == "hdf5") c.to = "h5";
    c.origin = parsed->input == "-" ? "standard input" : parsed->input;
    c.like_origin = parsed->like == "-" ? "standard input" : parsed->like;
    c.loss = parsed->loss;
    c.name = parsed->name.empty()
                 ? std::filesystem::path(parsed->output == "-" ? parsed->input : parsed->output).stem().string()
                 : parsed->name;
    if (c.to == "cpp") {
      if (c.from != "onnx") throw UsageError(fmt::format("{}: a graph file is written of an .onnx alone", c.origin));
      if (c.name != identifier(c.name))
        throw UsageError(
            fmt::format("the graph cannot be called '{}', which is no name in C++; give it one with --name", c.name));
    } else if (!parsed->name.empty() || !parsed->loss.empty()) {
      throw UsageError("--name and --loss are of a graph file: OUTPUT.cpp, or --to cpp");
    } else if (c.from != "kiln" && parsed->like.empty()) {
      throw UsageError(
          fmt::format("{}: --like FILE.kiln is missing, a file of the network that this one is of", c.origin));
    }
    if (!parsed->like.empty() && (c.from == "kiln" || c.to == "cpp"))
      throw UsageError("--like is for other tools' files on their way to another format: leave it out");
    require_other_files(std::array{FlagFile{"INPUT", parsed->input}, FlagFile{"--like", parsed->like}},
                        std::array{FlagFile{"OUTPUT", parsed->output}});
    c.bytes = read_input(parsed->input);
    if (!parsed->like.empty()) c.like = read_input(parsed->like);
    const std::string result = in_child(c.bytes.size() + c.like.size(), c.origin, [&] { return convert(c); });
    if (parsed->output == "-") {
      if (const int error = write_all(environment.files, STDOUT_FILENO, result); error != 0)
        throw Failure(fmt::format("standard output cannot be written: {}", std::strerror(error)));
    } else {
      write_atomically(environment.files, parsed->output, result);
    }
    return 0;
  });
}

}  // namespace kiln
