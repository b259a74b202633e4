#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace kiln {

/// A file without a name, in memory, through which processes pass bytes to each other.
class MemoryFile {
 public:
  /// Throws Failure.
  explicit MemoryFile(const char* name);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return file_; }
  /// Writes the bytes, to be read from their first; throws Failure.
  void fill(std::string_view bytes);
  std::string contents() const;

 private:
  int file_;
};

/// Waits for a child's end; returns its status, as waitpid gives it. Throws Failure.
int wait_for(pid_t child);

}  // namespace kiln
