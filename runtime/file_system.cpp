#include "file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <filesystem>
#include <new>

#include "error.h"

namespace kiln {
namespace {

constexpr std::string_view kTemporary = ".kiln-", kTemporaryEnd = ".tmp";  // the process between them

int result(int value) { return value < 0 ? errno : 0; }

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

[[noreturn]] void fail(const std::string& path, const char* what, int error) {
  throw Failure(fmt::format("{}: {}: {}", path, what, std::strerror(error)));
}

/// Whether `path` leads to the very file that is standard output: /dev/stdout does, whatever that is.
bool is_standard_output(const struct stat& status) {
  struct stat standard = {};
  return ::fstat(STDOUT_FILENO, &standard) == 0 && standard.st_dev == status.st_dev && standard.st_ino == status.st_ino;
}

/// Whether a file at `path` cannot be replaced by another, and is to be written to as it is.
bool written_in_place(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) < 0 || S_ISDIR(status.st_mode)) return false;
  return !S_ISREG(status.st_mode) || is_standard_output(status);
}

/// Where symbolic links at `path` lead to, whether there is something or not: a rename would replace the link.
std::string behind_links(const std::string& path) {
  std::string result = path;
  std::array<char, PATH_MAX> target;
  for (int links = 0; links <= 40; ++links) {  // as many as the system follows
    const ssize_t length = ::readlink(result.c_str(), target.data(), target.size());
    if (length < 0) return result;  // no link
    const std::string_view next(target.data(), static_cast<size_t>(length));
    result = next.starts_with('/') ? std::string(next) : fmt::format("{}/{}", folder_of(result), next);
  }
  fail(path, "cannot be created", ELOOP);
}

int write_pieces(FileSystem& files, int file, std::span<const std::string_view> pieces) {
  int error = 0;
  for (const std::string_view piece : pieces) {
    if (error == 0) error = write_all(files, file, piece);
  }
  return error;
}

void write_in_place(FileSystem& files, const std::string& path, std::span<const std::string_view> pieces) {
  int file = -1;
  if (const int error = files.open_existing(path, file); error != 0) fail(path, "cannot be opened", error);
  int error = write_pieces(files, file, pieces);
  const int closed = files.close(file);
  if (error == 0) error = closed;
  if (error != 0) fail(path, "cannot be written", error);
}

}  // namespace

int DiskFileSystem::open_new(const std::string& path, int& file) {
  file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  return result(file);
}

int DiskFileSystem::open_existing(const std::string& path, int& file) {
  struct stat status = {};
  // Opened anew, standard output would be written from its beginning, over what is there.
  const bool standard = ::stat(path.c_str(), &status) == 0 && is_standard_output(status);
  file = standard ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  return result(file);
}

int DiskFileSystem::open_append(const std::string& path, int& file) {
  file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  return result(file);
}

int DiskFileSystem::write(int file, const char* data, size_t size, size_t& written) {
  const ssize_t count = ::write(file, data, size);
  written = count < 0 ? 0 : static_cast<size_t>(count);
  if (count < 0 && errno == EINTR) {
    written = 0;
    return write(file, data, size, written);
  }
  return count < 0 ? errno : 0;
}

int DiskFileSystem::sync(int file) { return result(::fsync(file)); }
int DiskFileSystem::close(int file) { return result(::close(file)); }
int DiskFileSystem::rename(const std::string& from, const std::string& to) {
  return result(std::rename(from.c_str(), to.c_str()));
}
int DiskFileSystem::remove(const std::string& path) { return result(::unlink(path.c_str())); }

int DiskFileSystem::sync_folder(const std::string& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno;
  const int error = result(::fsync(folder));
  ::close(folder);
  return error;
}

int DiskFileSystem::create_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return error.value();
}

int write_all(FileSystem& files, int file, std::string_view data) {
  while (!data.empty()) {
    size_t written = 0;
    if (const int error = files.write(file, data.data(), data.size(), written); error != 0) return error;
    if (written == 0) return EIO;
    data.remove_prefix(written);
  }
  return 0;
}

void write_atomically(FileSystem& files, const std::string& path, std::span<const std::string_view> pieces) {
  if (written_in_place(path)) return write_in_place(files, path, pieces);
  const std::string target = behind_links(path),
                    temporary = fmt::format("{}{}{}{}", target, kTemporary, ::getpid(), kTemporaryEnd),
                    folder = folder_of(target);
  int file = -1;  // from here on nothing is allocated: running out of memory leaves nothing behind
  int error = files.open_new(temporary, file);
  if (error == EEXIST) {  // of a killed process that had our number
    files.remove(temporary);
    error = files.open_new(temporary, file);
  }
  if (error != 0) fail(path, "cannot be created", error);
  // A file that its owner closed to others stays so.
  if (struct stat status = {}; ::stat(target.c_str(), &status) == 0) (void)::fchmod(file, status.st_mode & 07777);
  error = write_pieces(files, file, pieces);
  if (error == 0) error = files.sync(file);
  const int closed = files.close(file);
  if (error == 0) error = closed;
  if (error == 0) error = files.rename(temporary, target);
  if (error != 0) {
    files.remove(temporary);
    fail(path, "cannot be written", error);
  }
  // The file is there and whole; only the folder's entry may not have reached the disk.
  if (error = files.sync_folder(folder); error != 0) fail(path, "its folder cannot be synced", error);
}

void write_atomically(FileSystem& files, const std::string& path, std::string_view contents) {
  write_atomically(files, path, std::span(&contents, 1));
}

void remove_leftovers(FileSystem& files, const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const size_t at = name.rfind(kTemporary);
    if (at == std::string::npos) continue;
    const char* const end = name.data() + name.size();
    pid_t process = 0;
    const auto [rest, wrong] = std::from_chars(name.data() + at + kTemporary.size(), end, process);
    if (wrong == std::errc() && std::string_view(rest, end) == kTemporaryEnd && process > 0 && ::kill(process, 0) < 0 &&
        errno == ESRCH)
      files.remove(entry.path().string());
  }
  if (error == std::errc::not_enough_memory) throw std::bad_alloc();
}

void append(FileSystem& files, const std::string& path, std::string_view contents) {
  int file = -1;
  if (const int error = files.open_append(path, file); error != 0) fail(path, "cannot be opened", error);
  const int error = write_all(files, file, contents);
  const int closed = files.close(file);
  if (error != 0 || closed != 0) fail(path, "cannot be written", error != 0 ? error : closed);
}

void create_folders(FileSystem& files, const std::string& path) {
  if (const int error = files.create_folders(path); error != 0) fail(path, "cannot be created", error);
}

std::string read_file(const std::string& path) {
  const auto refuse = [&](int error) {
    throw DataError(fmt::format("{}: cannot be read: {}", path, std::strerror(error)));
  };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) refuse(errno);
  struct stat status = {};
  std::string contents;
  int error = ::fstat(file, &status) < 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  // One byte more than there should be, so that the end is seen without the file being copied into a larger string.
  if (error == 0) contents.resize(static_cast<size_t>(status.st_size) + 1);
  size_t done = 0;
  while (error == 0) {
    if (done == contents.size()) contents.resize(2 * done + (1 << 16));  // a pipe, or a file that grows
    const ssize_t count = ::read(file, contents.data() + done, contents.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) error = errno;
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  ::close(file);
  if (error != 0) refuse(error);
  contents.resize(done);
  return contents;
}

}  // namespace kiln
