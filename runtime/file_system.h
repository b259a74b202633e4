#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace kiln {

/// The primitives that every write goes through, so that tests can fail or tear any of them. Each returns 0 or an errno
/// value.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual int open_new(const std::string& path, int& file) = 0;  // created; EEXIST where there is anything
  virtual int open_existing(const std::string& path, int& file) = 0;
  virtual int open_append(const std::string& path, int& file) = 0;
  virtual int write(int file, const char* data, size_t size, size_t& written) = 0;
  virtual int sync(int file) = 0;
  virtual int close(int file) = 0;
  virtual int rename(const std::string& from, const std::string& to) = 0;
  virtual int remove(const std::string& path) = 0;
  virtual int sync_folder(const std::string& path) = 0;
  virtual int create_folders(const std::string& path) = 0;
};

/// The machine's own file system.
class DiskFileSystem : public FileSystem {
 public:
  int open_new(const std::string& path, int& file) override;
  int open_existing(const std::string& path, int& file) override;
  int open_append(const std::string& path, int& file) override;
  int write(int file, const char* data, size_t size, size_t& written) override;
  int sync(int file) override;
  int close(int file) override;
  int rename(const std::string& from, const std::string& to) override;
  int remove(const std::string& path) override;
  int sync_folder(const std::string& path) override;
  int create_folders(const std::string& path) override;
};

/// Writes all of `data`, however many calls that takes; returns 0 or an errno value.
int write_all(FileSystem& files, int file, std::string_view data);

/// Replaces `path` by the concatenated pieces, or leaves it as it was: a temporary file in the same folder is written,
/// synced and renamed. Links are followed: the file behind them is replaced. What is no file (a device, a pipe) and the
/// file that is standard output (/dev/stdout) are written to as they are. Throws Failure "path: what: reason".
void write_atomically(FileSystem& files, const std::string& path, std::span<const std::string_view> pieces);
void write_atomically(FileSystem& files, const std::string& path, std::string_view contents);

/// Removes such temporary files of processes that were killed: those in this folder whose process is no more.
void remove_leftovers(FileSystem& files, const std::string& folder);

/// Appends to a file, creating it; throws Failure.
void append(FileSystem& files, const std::string& path, std::string_view contents);

/// Creates a folder and those above it; throws Failure.
void create_folders(FileSystem& files, const std::string& path);

/// A whole file; throws DataError "path: cannot be read: reason".
std::string read_file(const std::string& path);

}  // namespace kiln
