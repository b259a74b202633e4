#include "model_file.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "child_process.h"
#include "error.h"
#include "initialize.h"

extern char** environ;

namespace kiln {
namespace {

/// Beside this program, or on PATH.
std::string converter() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path beside = self.parent_path() / "kiln_convert";
  return !error && ::access(beside.c_str(), X_OK) == 0 ? beside.string() : "kiln_convert";
}

/// Runs kiln_convert on these bytes; returns what it wrote. Its error becomes one of ours.
std::string convert(const std::vector<std::string>& arguments, std::string_view input) {
  MemoryFile in("kiln-in"), out("kiln-out"), err("kiln-err");
  in.fill(input);
  const std::string program = converter();
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.descriptor(), STDERR_FILENO);
  // In a process group of its own: Ctrl-C is this program's, which saves and then ends.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t child = -1;
  const int error = ::posix_spawnp(&child, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    throw Failure(
        fmt::format("kiln_convert, which reads and writes other tools' files, cannot be run ({}): it belongs beside "
                    "this program or on PATH",
                    std::strerror(error)));
  }
  const int status = wait_for(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return out.contents();
  std::string message = err.contents();
  if (const size_t end = message.find('\n'); end != std::string::npos) message.resize(end);
  constexpr std::string_view kPrefix = "kiln_convert: error: ";
  if (message.starts_with(kPrefix)) message.erase(0, kPrefix.size());
  if (WIFSIGNALED(status)) throw Failure(fmt::format("{} was ended by signal {}", program, WTERMSIG(status)));
  if (message.empty())
    throw Failure(fmt::format("{} ended with exit code {} and without an answer", program, WEXITSTATUS(status)));
  throw Error(static_cast<ExitCode>(WEXITSTATUS(status)), message);
}

std::string ending(const std::string& path) { return std::filesystem::path(path).extension().string(); }

}  // namespace

bool is_foreign(const std::string& path) {
  const std::string end = ending(path);
  return end == ".h5" || end == ".hdf5" || end == ".keras" || end == ".safetensors" || end == ".onnx";
}

void require_model_ending(const char* flag, const std::string& path) {
  if (ending(path) != ".kiln" && !is_foreign(path))
    throw UsageError(fmt::format("{} {}: its ending is none of .kiln, .h5, .keras, .safetensors, .onnx", flag, path));
}

Checkpoint load_model_file(const std::string& path, const kiln_model& model) {
  if (!is_foreign(path)) return load_checkpoint(path, model);
  Checkpoint like;  // says what is expected
  // Weights that the file has not, such as those that only the loss reads, stay at first values.
  std::vector<uint8_t> state(model.state_bytes);
  initialize(model, 1, state.data());
  const auto end = state.begin() + static_cast<std::ptrdiff_t>(model.weight_bytes);
  like.weights.assign(state.begin(), end);
  like.optimizer.assign(end, state.end());
  like.progress = nlohmann::json::object();
  const std::string name = path.starts_with('-') ? "./" + path : path;  // no flag
  return parse_checkpoint(convert({name, "-", "--like", "-"}, checkpoint_bytes(model, like)), path, model);
}

void save_model_file(FileSystem& files, const std::string& path, const kiln_model& model,
                     const Checkpoint& checkpoint) {
  if (!is_foreign(path)) return save_checkpoint(files, path, model, checkpoint);
  write_atomically(files, path,
                   convert({"-", "-", "--to", ending(path).substr(1)}, checkpoint_bytes(model, checkpoint)));
}

}  // namespace kiln
