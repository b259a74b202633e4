#include "run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>

#include "error.h"

namespace kiln {

std::string create_next_run_folder(FileSystem& files, const std::string& parent, const std::string& name) {
  create_folders(files, parent);
  for (int n = 1;; ++n) {
    std::string path = fmt::format("{}/{}-{}", parent, name, n);
    std::error_code error;
    if (std::filesystem::create_directory(path, error)) return path;  // false where there is one: taken
    if (error) throw Failure(fmt::format("{}: cannot be created: {}", path, error.message()));
  }
}

// The lock is the open folder's: two runs of one process exclude each other, too, and programs that are started do not
// inherit it. A forked child would share it; the runtime forks none while it trains.
FolderLock::FolderLock(const std::string& path) : folder_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (folder_ < 0 || ::flock(folder_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(folder_);
  throw UsageError(
      fmt::format("{}: another run is writing to this folder: wait for its end, or give another --run-folder", path));
}

FolderLock::~FolderLock() {
  if (folder_ >= 0) ::close(folder_);
}

RunFolder::RunFolder(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  create_folders(files_, path_);
  remove_leftovers(files_, path_);
}

void RunFolder::write(const std::string& name, const std::string& text) { write_atomically(files_, file(name), text); }

void RunFolder::write_pictures(const kiln_model& model) {
  const auto picture = [&](const char* name, const char* text) {
    if (text && *text) write(name, text);
  };
  picture("model.dot", model.dot);
  picture("model.svg", model.svg);
  picture("gradient.dot", model.gradient_dot);
  picture("gradient.svg", model.gradient_svg);
}

void RunFolder::begin_metrics(int64_t epochs) {
  const std::string path = file("metrics.csv");
  std::string kept;
  std::error_code error;
  if (epochs > 0 && std::filesystem::exists(path, error)) {
    std::istringstream lines(read_file(path));
    std::string line;
    for (int64_t i = 0; i <= epochs && std::getline(lines, line); ++i)
      kept += line + "\n";  // the header, a line an epoch
  }
  write("metrics.csv", kept);
}

std::string RunFolder::metrics() const { return read_file(file("metrics.csv")); }

void RunFolder::append_metrics(int64_t epoch, double seconds, double rate, const MetricValues& values) {
  const std::string path = file("metrics.csv");
  std::error_code error;
  std::string header, line = fmt::format("{},{:.3f},{}", epoch, seconds, rate);
  if (std::filesystem::file_size(path, error) == 0) header = "epoch,seconds,learning_rate";
  for (const auto& [name, value] : values) {
    if (!header.empty()) header += "," + name;
    line += fmt::format(",{}", value);
  }
  append(files_, path, (header.empty() ? "" : header + "\n") + line + "\n");
}

}  // namespace kiln
