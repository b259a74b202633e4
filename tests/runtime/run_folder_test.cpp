#include "run_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <set>

#include "error.h"
#include "fake_model.h"
#include "parallel.h"

namespace kiln {
namespace {

TEST(RunFolder, TheNextFreeNumberIsTaken) {
  TemporaryFolder folder;
  DiskFileSystem files;
  const std::string runs = folder.file("runs");
  EXPECT_EQ(create_next_run_folder(files, runs, "toy"), runs + "/toy-1");
  EXPECT_EQ(create_next_run_folder(files, runs, "toy"), runs + "/toy-2");
  EXPECT_EQ(create_next_run_folder(files, runs, "other"), runs + "/other-1");
  EXPECT_TRUE(std::filesystem::is_directory(runs + "/toy-2"));
}

TEST(RunFolder, RunsThatBeginTogetherDoNotShareOne) {
  TemporaryFolder folder;
  DiskFileSystem files;
  ThreadPool pool(4);
  std::vector<std::string> paths(40);
  pool.for_each(40,
                [&](int i) { paths[static_cast<size_t>(i)] = create_next_run_folder(files, folder.path(), "toy"); });
  EXPECT_EQ(std::set<std::string>(paths.begin(), paths.end()).size(), 40u);
}

TEST(RunFolder, AFileInItsPlaceIsAFailure) {
  TemporaryFolder folder;
  DiskFileSystem files;
  std::ofstream(folder.file("runs")) << "a file";
  EXPECT_THROW(create_next_run_folder(files, folder.file("runs"), "toy"), Failure);
}

std::string refusal_of_lock(const std::string& path) {
  try {
    const FolderLock lock(path);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(FolderLock, OneAtATimeHasAFolder) {
  TemporaryFolder folder;
  {
    const FolderLock lock(folder.path());
    EXPECT_EQ(
        refusal_of_lock(folder.path() + "/"),
        folder.path() + "/: another run is writing to this folder: wait for its end, or give another --run-folder");
    DiskFileSystem files;
    create_folders(files, folder.file("1"));
    EXPECT_EQ(refusal_of_lock(folder.file("1")), "");  // folders within are others
  }
  EXPECT_EQ(refusal_of_lock(folder.path()), "");
}

TEST(FolderLock, EndsWithItsProcessAndIsNotInheritedByPrograms) {
  TemporaryFolder folder;
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder.path());
    // A program that lives on without whoever started it.
    pid_t program = -1;
    std::array<char*, 3> words = {const_cast<char*>("sleep"), const_cast<char*>("100"), nullptr};
    if (::posix_spawnp(&program, "sleep", nullptr, nullptr, words.data(), environ) != 0) program = -1;
    if (::write(ends[1], &program, sizeof program) < 0) ::_exit(1);
    ::pause();
    ::_exit(1);
  }
  pid_t program = -1;
  ASSERT_EQ(::read(ends[0], &program, sizeof program), static_cast<ssize_t>(sizeof program));
  EXPECT_NE(refusal_of_lock(folder.path()), "");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(refusal_of_lock(folder.path()), "");
  ASSERT_GT(program, 0);
  EXPECT_EQ(::kill(program, SIGKILL), 0);  // it was alive
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(RunFolder, WhatAKilledRunLeftHalfWrittenIsRemoved) {
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ::waitpid(dead, nullptr, 0);
  TemporaryFolder folder;
  const std::string left = fmt::format("last.kiln.kiln-{}.tmp", dead);
  const std::vector<std::string> others = {fmt::format("last.kiln.kiln-{}.tmp", ::getpid()), "last.kiln",
                                           fmt::format("last.kiln.kiln-{}.tmp.csv", dead), "notes.kiln-.tmp",
                                           fmt::format("notes.{}.tmp", dead)};
  for (const std::string& name : others) std::ofstream(folder.file(name)) << name;
  std::ofstream(folder.file(left)) << "half";
  DiskFileSystem files;
  RunFolder run(files, folder.path());
  for (const std::string& name : others) EXPECT_EQ(read_file(folder.file(name)), name);
  EXPECT_FALSE(std::filesystem::exists(folder.file(left)));
}

TEST(RunFolder, MetricsOfEpochsThatAreDoneAgainAreDropped) {
  TemporaryFolder folder;
  DiskFileSystem files;
  RunFolder run(files, folder.file("run/"));
  EXPECT_EQ(run.path(), folder.file("run"));
  run.begin_metrics(0);
  run.append_metrics(1, 2.5, 0.001, {{"loss", 0.5}, {"val_loss", 0.25}});
  run.append_metrics(2, 2.5, 0.001, {{"loss", 0.125}, {"val_loss", 0.75}});
  run.begin_metrics(1);
  run.append_metrics(2, 1.25, 0.5, {{"loss", 0.0625}, {"val_loss", 1e-9}});
  EXPECT_EQ(read_file(run.file("metrics.csv")),
            "epoch,seconds,learning_rate,loss,val_loss\n"
            "1,2.500,0.001,0.5,0.25\n"
            "2,1.250,0.5,0.0625,1e-09\n");
}

TEST(RunFolder, APlaceWhereNothingCanBeCreatedIsAFailure) {
  DiskFileSystem files;
  try {
    create_next_run_folder(files, "/proc/self", "toy");
    FAIL() << "no error";
  } catch (const Failure& failure) {
    EXPECT_STREQ(failure.what(), "/proc/self/toy-1: cannot be created: No such file or directory");
  }
}

TEST(RunFolder, PicturesThatTheModelHasNotAreNotWritten) {
  TemporaryFolder folder;
  DiskFileSystem files;
  kiln_model model = small_model();
  model.svg = nullptr;
  model.gradient_svg = "";
  RunFolder(files, folder.file("run")).write_pictures(model);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"run/gradient.dot", "run/model.dot"}));
}

TEST(RunFolder, MetricsThatWereLostBeginAgain) {
  TemporaryFolder folder;
  DiskFileSystem files;
  RunFolder run(files, folder.file("run"));
  run.begin_metrics(5);  // of a state that was copied without its folder
  EXPECT_EQ(run.metrics(), "");
  run.append_metrics(6, 1, 0.5, {{"loss", 0.5}});
  run.begin_metrics(9);  // more epochs than there are lines
  EXPECT_EQ(run.metrics(), "epoch,seconds,learning_rate,loss\n6,1.000,0.5,0.5\n");
}

}  // namespace
}  // namespace kiln
