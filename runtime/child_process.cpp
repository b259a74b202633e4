#include "child_process.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"
#include "file_system.h"

namespace kiln {

MemoryFile::MemoryFile(const char* name) : file_(::memfd_create(name, MFD_CLOEXEC)) {
  if (file_ < 0) throw Failure(fmt::format("no file in memory: {}", std::strerror(errno)));
}

MemoryFile::~MemoryFile() { ::close(file_); }

void MemoryFile::fill(std::string_view bytes) {
  DiskFileSystem files;
  if (const int error = write_all(files, file_, bytes); error != 0)
    throw Failure(fmt::format("no memory for a file of {} bytes: {}", bytes.size(), std::strerror(error)));
  ::lseek(file_, 0, SEEK_SET);
}

std::string MemoryFile::contents() const { return read_file(fmt::format("/proc/self/fd/{}", file_)); }

int wait_for(pid_t child) {
  int status = 0;
  pid_t ended = -1;
  do ended = ::waitpid(child, &status, 0);
  while (ended < 0 && errno == EINTR);
  if (ended < 0)  // SIGCHLD is ignored, perhaps
    throw Failure(fmt::format("how a child process ended cannot be known: {}", std::strerror(errno)));
  return status;
}

}  // namespace kiln
