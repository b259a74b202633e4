// Whatever fails while a file is written: the old file stays whole, nothing is left beside it, and the message says
// why.
#include "file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <thread>
#include <vector>

#include "error.h"
#include "runtime/fake_model.h"

namespace kiln {
namespace {

/// A disk whose n-th primitive fails, and which writes only `most` bytes at a time.
class FaultyFileSystem : public DiskFileSystem {
 public:
  FaultyFileSystem(int failing, int error, size_t most = std::numeric_limits<size_t>::max())
      : failing_(failing), error_(error), most_(most) {}

  /// What was asked for, in order.
  const std::vector<std::string>& calls() const { return calls_; }

  int open_new(const std::string& path, int& file) override {
    return fails("open") ? error_ : DiskFileSystem::open_new(path, file);
  }
  int open_existing(const std::string& path, int& file) override {
    return fails("open existing") ? error_ : DiskFileSystem::open_existing(path, file);
  }
  int open_append(const std::string& path, int& file) override {
    return fails("open") ? error_ : DiskFileSystem::open_append(path, file);
  }
  int write(int file, const char* data, size_t size, size_t& written) override {
    if (!fails("write")) return DiskFileSystem::write(file, data, std::min(size, most_), written);
    // A disk that fills up takes a part first.
    size_t part = 0;
    DiskFileSystem::write(file, data, size / 2, part);
    written = 0;
    return error_;
  }
  int sync(int file) override { return fails("sync") ? error_ : DiskFileSystem::sync(file); }
  int close(int file) override {
    const int error = DiskFileSystem::close(file);  // close frees the descriptor even when it reports an error
    return fails("close") ? error_ : error;
  }
  int rename(const std::string& from, const std::string& to) override {
    return fails("rename") ? error_ : DiskFileSystem::rename(from, to);
  }
  int remove(const std::string& path) override { return fails("remove") ? error_ : DiskFileSystem::remove(path); }
  int sync_folder(const std::string& path) override {
    return fails("sync folder") ? error_ : DiskFileSystem::sync_folder(path);
  }
  int create_folders(const std::string& path) override {
    return fails("create folders") ? error_ : DiskFileSystem::create_folders(path);
  }

 private:
  bool fails(const char* call) {
    calls_.emplace_back(call);
    return static_cast<int>(calls_.size()) == failing_;
  }

  int failing_, error_;
  size_t most_;
  std::vector<std::string> calls_;
};

constexpr int kNever = 0;

template <class Action>
std::string failure_of(Action action) {
  try {
    action();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.exit_code(), 1);
    return failure.what();
  }
  return "nothing was thrown";
}

class FileSystemTest : public testing::Test {
 protected:
  const TemporaryFolder folder_;
  const std::string path_ = folder_.file("model.kiln");
};

TEST_F(FileSystemTest, PiecesAreWrittenOneAfterTheOtherAndReplaceTheOldFile) {
  DiskFileSystem disk;
  write_atomically(disk, path_, "an older and longer file");
  const std::string_view pieces[] = {"head", "", "tail"};
  write_atomically(disk, path_, pieces);
  EXPECT_EQ(read_file(path_), "headtail");
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"model.kiln"});
}

TEST_F(FileSystemTest, AFileIsSyncedBeforeItIsRenamedAndItsFolderAfter) {
  FaultyFileSystem files(kNever, 0);
  write_atomically(files, path_, "x");
  EXPECT_EQ(files.calls(), (std::vector<std::string>{"open", "write", "sync", "close", "rename", "sync folder"}));
}

TEST_F(FileSystemTest, ShortWritesAreContinued) {
  FaultyFileSystem files(kNever, 0, 3);
  write_atomically(files, path_, "0123456789");
  EXPECT_EQ(read_file(path_), "0123456789");
  append(files, path_, "abcde");
  EXPECT_EQ(read_file(path_), "0123456789abcde");
}

TEST_F(FileSystemTest, AWriteThatTakesNothingForEverIsAnError) {
  FaultyFileSystem files(kNever, 0, 0);
  EXPECT_EQ(failure_of([&] { write_atomically(files, path_, "x"); }),
            path_ + ": cannot be written: Input/output error");
  EXPECT_TRUE(folder_.names().empty());
}

// Every primitive of a write in two pieces, each failing in turn, for each of the usual reasons.
TEST_F(FileSystemTest, AFailureAtAnyPointLeavesTheOldFileAndNothingElse) {
  const std::string_view pieces[] = {"new head", "new tail"};
  FaultyFileSystem whole(kNever, 0);
  write_atomically(whole, path_, pieces);
  const std::vector<std::string> calls = whole.calls();
  ASSERT_EQ(calls.size(), 7U);
  for (const auto& [error, reason] : {std::pair{EIO, "Input/output error"}, {ENOSPC, "No space left on device"}}) {
    for (int n = 1; n <= static_cast<int>(calls.size()); ++n) {
      SCOPED_TRACE(fmt::format("{} ({}) fails with {}", n, calls[static_cast<size_t>(n - 1)], reason));
      DiskFileSystem disk;
      write_atomically(disk, path_, "old");
      FaultyFileSystem files(n, error);
      const std::string message = failure_of([&] { write_atomically(files, path_, pieces); });
      const std::string call = calls[static_cast<size_t>(n - 1)];
      const char* what = call == "open"          ? "cannot be created"
                         : call == "sync folder" ? "its folder cannot be synced"
                                                 : "cannot be written";
      EXPECT_EQ(message, fmt::format("{}: {}: {}", path_, what, reason));
      // Once renamed, the new file is there and whole; before, the old one is.
      EXPECT_EQ(read_file(path_), call == "sync folder" ? "new headnew tail" : "old");
      EXPECT_EQ(folder_.names(), std::vector<std::string>{"model.kiln"});
    }
  }
}

TEST_F(FileSystemTest, NoDescriptorIsLeftOpenAfterAFailure) {
  const auto lowest_free = [] {
    const int file = ::open("/dev/null", O_RDONLY);
    ::close(file);
    return file;
  };
  const int before = lowest_free();
  for (int n = 1; n <= 6; ++n) {
    FaultyFileSystem files(n, EIO);
    failure_of([&] { write_atomically(files, path_, "x"); });
  }
  EXPECT_EQ(lowest_free(), before);
}

TEST_F(FileSystemTest, TheFileBehindLinksIsReplaced) {
  DiskFileSystem disk;
  create_folders(disk, folder_.file("store"));
  const std::string store = folder_.file("store/real.csv"), link = folder_.file("link.csv"),
                    far = folder_.file("far.csv"), lonely = folder_.file("lonely.csv");
  write_atomically(disk, store, "old");
  std::filesystem::create_symlink("store/real.csv", link);  // seen from where the link is
  std::filesystem::create_symlink(link, far);
  std::filesystem::create_symlink("store/new.csv", lonely);  // leads to nothing yet
  write_atomically(disk, far, "new");
  write_atomically(disk, lonely, "first");
  EXPECT_EQ(read_file(store), "new");
  EXPECT_EQ(read_file(folder_.file("store/new.csv")), "first");
  for (const std::string& path : {link, far, lonely}) EXPECT_TRUE(std::filesystem::is_symlink(path)) << path;
  EXPECT_EQ(folder_.names().size(), 5U);  // nothing is left of temporary files
  const std::string circle = folder_.file("circle");
  std::filesystem::create_symlink(circle, circle);
  EXPECT_EQ(failure_of([&] { write_atomically(disk, circle, "x"); }),
            circle + ": cannot be created: Too many levels of symbolic links");
}

TEST_F(FileSystemTest, APipeIsWrittenToAndStays) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const int reader = ::open(path_.c_str(), O_RDWR | O_NONBLOCK);
  FaultyFileSystem files(kNever, 0);
  const std::string_view pieces[] = {"head", "tail"};
  write_atomically(files, path_, pieces);
  std::string read(100, '\0');
  read.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(reader, read.data(), read.size()))));
  ::close(reader);
  EXPECT_EQ(read, "headtail");
  EXPECT_TRUE(std::filesystem::is_fifo(path_));
  EXPECT_EQ(files.calls(), (std::vector<std::string>{"open existing", "write", "write", "close"}));
}

// A terminal of the test's own: wrong code is not to replace one that others need, as /dev/null.
TEST_F(FileSystemTest, ADeviceIsWrittenToAndStays) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_TRUE(::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0);
  const std::string device = ::ptsname(terminal);
  const int open = ::open(device.c_str(), O_RDWR | O_NOCTTY);  // else what is written is gone with its writer
  std::filesystem::create_symlink(device, path_);
  DiskFileSystem disk;
  write_atomically(disk, path_, "x");
  char read = 0;
  ASSERT_EQ(::read(terminal, &read, 1), 1);
  EXPECT_EQ(read, 'x');
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
  EXPECT_TRUE(std::filesystem::is_character_file(device));
  for (int n = 1; n <= 3; ++n) {
    FaultyFileSystem files(n, EIO);
    EXPECT_EQ(failure_of([&] { write_atomically(files, path_, "x"); }),
              fmt::format("{}: {}: Input/output error", path_, n == 1 ? "cannot be opened" : "cannot be written"));
  }
  ::close(open);
  ::close(terminal);
}

// As in `digits_predict --out /dev/stdout >> all.csv`: what is there stays, and what is printed later comes behind.
TEST_F(FileSystemTest, StandardOutputGoesOnWhereItIs) {
  std::fflush(stdout);
  const int before = ::dup(STDOUT_FILENO), file = ::open(path_.c_str(), O_WRONLY | O_CREAT, 0600);
  ::dup2(file, STDOUT_FILENO);
  ::close(file);
  DiskFileSystem disk;
  EXPECT_EQ(write_all(disk, STDOUT_FILENO, "one "), 0);
  write_atomically(disk, "/dev/stdout", "two ");
  EXPECT_EQ(write_all(disk, STDOUT_FILENO, "three"), 0);
  ::dup2(before, STDOUT_FILENO);
  ::close(before);
  EXPECT_EQ(read_file(path_), "one two three");
}

TEST_F(FileSystemTest, WhatLiesInTheTemporaryFilesPlaceIsNotWrittenTo) {
  DiskFileSystem disk;
  const std::string temporary = fmt::format("{}.kiln-{}.tmp", path_, ::getpid()), other = folder_.file("other");
  write_atomically(disk, other, "other's");
  std::filesystem::create_symlink(other, temporary);
  write_atomically(disk, path_, "mine");
  EXPECT_EQ(read_file(other), "other's");
  EXPECT_EQ(read_file(path_), "mine");
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"model.kiln", "other"}));
  create_folders(disk, temporary);  // which cannot be removed as a file is
  EXPECT_EQ(failure_of([&] { write_atomically(disk, path_, "x"); }), path_ + ": cannot be created: File exists");
}

TEST_F(FileSystemTest, AMissingFolderIsSaid) {
  DiskFileSystem disk;
  const std::string path = folder_.file("none/model.kiln");
  EXPECT_EQ(failure_of([&] { write_atomically(disk, path, "x"); }),
            path + ": cannot be created: No such file or directory");
  EXPECT_EQ(failure_of([&] { append(disk, path, "x"); }), path + ": cannot be opened: No such file or directory");
}

TEST_F(FileSystemTest, AFolderOfThatNameIsKept) {
  DiskFileSystem disk;
  create_folders(disk, path_);
  EXPECT_EQ(failure_of([&] { write_atomically(disk, path_, "x"); }), path_ + ": cannot be written: Is a directory");
  EXPECT_TRUE(std::filesystem::is_directory(path_));
  EXPECT_TRUE(folder_.names().empty());  // of files
}

TEST_F(FileSystemTest, AppendingKeepsWhatIsThereAndSaysWhatFails) {
  DiskFileSystem disk;
  append(disk, path_, "one\n");
  append(disk, path_, "two\n");
  EXPECT_EQ(read_file(path_), "one\ntwo\n");
  FaultyFileSystem write_fails(2, ENOSPC), close_fails(3, EIO);
  EXPECT_EQ(failure_of([&] { append(write_fails, path_, "three\n"); }),
            path_ + ": cannot be written: No space left on device");
  EXPECT_EQ(failure_of([&] { append(close_fails, path_, "three\n"); }),
            path_ + ": cannot be written: Input/output error");
}

TEST_F(FileSystemTest, FoldersAreCreatedWithThoseAboveThem) {
  DiskFileSystem disk;
  const std::string deep = folder_.file("a/b/c");
  create_folders(disk, deep);
  create_folders(disk, deep);
  EXPECT_TRUE(std::filesystem::is_directory(deep));
  write_atomically(disk, path_, "a file");
  EXPECT_EQ(failure_of([&] { create_folders(disk, path_ + "/below"); }),
            path_ + "/below: cannot be created: Not a directory");
}

std::string refusal(const std::string& path) {
  try {
    read_file(path);
  } catch (const DataError& error) {
    EXPECT_EQ(error.exit_code(), 3);
    return error.what();
  }
  return "nothing was thrown";
}

TEST_F(FileSystemTest, WhatCannotBeReadIsSaid) {
  EXPECT_EQ(refusal(path_), path_ + ": cannot be read: No such file or directory");
  EXPECT_EQ(refusal(folder_.path()), folder_.path() + ": cannot be read: Is a directory");
}

TEST_F(FileSystemTest, FilesOfAnySizeAreReadWhole) {
  DiskFileSystem disk;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65536}, size_t{1234567}}) {
    std::string contents(size, '\0');
    for (size_t i = 0; i < size; ++i) contents[i] = static_cast<char>(i * 31 >> 3);
    write_atomically(disk, path_, contents);
    EXPECT_TRUE(read_file(path_) == contents) << size;
  }
}

// As in `digits_predict --test <(zcat test.csv.gz)`: a pipe does not know its size.
TEST_F(FileSystemTest, APipeIsReadToItsEnd) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string contents(300000, 'x');
  std::thread writer([&] {
    DiskFileSystem disk;
    std::string_view rest = contents;
    while (!rest.empty()) {
      size_t written = 0;
      if (disk.write(ends[1], rest.data(), rest.size(), written) != 0) break;
      rest.remove_prefix(written);
    }
    ::close(ends[1]);
  });
  const std::string read = read_file(fmt::format("/dev/fd/{}", ends[0]));
  writer.join();
  ::close(ends[0]);
  EXPECT_TRUE(read == contents) << read.size();
}

TEST(FileSystem, WhatTheDiskRefusesIsItsErrorNumber) {
  DiskFileSystem files;
  size_t written = 1;
  EXPECT_EQ(files.write(-1, "x", 1, written), EBADF);
  EXPECT_EQ(written, 0U);
  EXPECT_EQ(files.sync(-1), EBADF);
  const TemporaryFolder folder;
  EXPECT_EQ(files.sync_folder(folder.file("missing")), ENOENT);
}

TEST(FileSystem, AReadThatFailsIsAnErrorOfTheData) {
  try {
    read_file("/proc/self/mem");  // opens, but has nothing at address 0
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(), "/proc/self/mem: cannot be read: Input/output error");
  }
}

}  // namespace
}  // namespace kiln
