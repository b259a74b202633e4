// A run that is killed at any moment, or that runs out of memory at any allocation, leaves whole files, and the run
// that goes on from them ends in the bits of one that was never stopped. --cases N kills N times.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <new>
#include <optional>
#include <sstream>

#include "checkpoint.h"
#include "data/csv.h"
#include "data/dataset.h"
#include "fake_model.h"
#include "random.h"
#include "runtime/allocation_counter.h"
#include "support/case_options.h"
#include "text_predicates.h"
#include "train_command.h"

namespace kiln {
namespace {

/// What a child tells its parent, even when it is killed.
struct Shared {
  std::atomic<int> calls{0};           // of the file system's primitives
  std::atomic<bool> replacing{false};  // a file is written that is to replace another
};

/// The disk; the process is killed within the n-th call of a primitive, a write after half its bytes.
class KillingFileSystem : public DiskFileSystem {
 public:
  KillingFileSystem(Shared& shared, int at) : shared_(shared), at_(at) {}
  int open_new(const std::string& path, int& file) override {
    shared_.replacing = true;
    return kill_or([&] { return DiskFileSystem::open_new(path, file); });
  }
  int open_append(const std::string& path, int& file) override {
    return kill_or([&] { return DiskFileSystem::open_append(path, file); });
  }
  int write(int file, const char* data, size_t size, size_t& written) override {
    if (shared_.calls + 1 == at_) DiskFileSystem::write(file, data, size / 2, written);
    return kill_or([&] { return DiskFileSystem::write(file, data, size, written); });
  }
  int sync(int file) override {
    return kill_or([&] { return DiskFileSystem::sync(file); });
  }
  int close(int file) override {
    return kill_or([&] { return DiskFileSystem::close(file); });
  }
  int rename(const std::string& from, const std::string& to) override {
    const int error = kill_or([&] { return DiskFileSystem::rename(from, to); });
    shared_.replacing = false;
    return error;
  }
  int sync_folder(const std::string& path) override {
    return kill_or([&] { return DiskFileSystem::sync_folder(path); });
  }

 private:
  template <class Call>
  int kill_or(Call call) {
    if (++shared_.calls == at_) ::kill(::getpid(), SIGKILL);
    return call();
  }

  Shared& shared_;
  int at_;
};

/// When a child is killed: within the n-th primitive, or by a timer; 0: not at all.
struct Death {
  int call = 0;
  int64_t microseconds = 0;
};

class Durability : public ::testing::Test {
 protected:
  Durability() {
    DiskFileSystem files;
    write_csv(files, folder_.file("train.csv"), learnable_rows(model_, 100), true);
    write_csv(files, folder_.file("test.csv"), learnable_rows(model_, 30, 2), false);
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_ = new (memory) Shared;
  }
  ~Durability() override { ::munmap(shared_, sizeof(Shared)); }

  std::vector<std::string> arguments(const std::string& run) const {
    return {"--train",
            folder_.file("train.csv"),
            "--test",
            folder_.file("test.csv"),
            "--epochs",
            "6",
            "--average",
            "0.9",
            "--restore-best",
            "--run-folder",
            run,
            "--threads",
            "1",
            "--quiet"};
  }

  /// Trains in a child process, from where `run` was left; its exit code, or nothing when it was killed.
  std::optional<int> train(const std::string& run, const Death& death) {
    std::vector<std::string> all = arguments(run);
    if (std::filesystem::exists(run + "/last.kiln"))
      all = {"--resume", run + "/last.kiln", "--test", folder_.file("test.csv"), "--threads", "1", "--quiet"};
    shared_->calls = 0;
    shared_->replacing = false;
    const pid_t child = ::fork();
    if (child == 0) {
      if (death.microseconds > 0) {
        sigevent event = {};
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = SIGKILL;
        timer_t timer = {};
        itimerspec when = {};
        when.it_value = {death.microseconds / 1'000'000, death.microseconds % 1'000'000 * 1000};
        if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || ::timer_settime(timer, 0, &when, nullptr) != 0)
          ::_exit(99);
      }
      KillingFileSystem files(*shared_, death.call);
      std::ostringstream out, err;
      ::_exit(train_command(
          all, model_, {.out = out, .err = err, .files = files, .style = {}, .interrupted = [] { return false; }}));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
  }

  /// Every file of a run that is there is whole.
  void expect_whole_files(const std::string& run) const {
    for (const char* name : {"model.kiln", "best.kiln", "last.kiln"}) {
      const std::string path = run + "/" + name;
      if (!std::filesystem::exists(path)) continue;
      EXPECT_NO_THROW(load_checkpoint(path, model_)) << path;
    }
  }

  const kiln_model& model_ = small_model();
  TemporaryFolder folder_;
  Shared* shared_;
};

TEST_F(Durability, KilledRunsGoOnToTheSameBits) {
  const std::string whole = folder_.file("whole");
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(train(whole, {}), 0);
  const auto duration =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  const int calls = shared_->calls;
  const Checkpoint expected = load_checkpoint(whole + "/model.kiln", model_);
  const std::string submission = read_file(whole + "/submission.csv");

  const uint64_t seed = testing::case_options().seed;
  int64_t kills = 0, replacing = 0, runs = 0;
  uint64_t attempt = 0;
  while (kills < testing::case_options().cases) {
    const std::string run = folder_.file(fmt::format("run-{}", runs));
    const auto random = philox(seed, 0, attempt++);
    const Death death = random[0] % 2 == 0
                            ? Death{.call = 1 + static_cast<int>(random[1] % static_cast<uint32_t>(calls))}
                            : Death{.microseconds = 1 + static_cast<int64_t>(random[1]) % duration};
    const std::optional<int> code = train(run, death);
    expect_whole_files(run);
    if (!code) {
      ++kills;
      if (shared_->replacing) ++replacing;
      continue;
    }
    ASSERT_EQ(*code, 0) << "attempt " << attempt;
    const Checkpoint found = load_checkpoint(run + "/model.kiln", model_);
    ASSERT_EQ(weights_checksum(found), weights_checksum(expected)) << "attempt " << attempt;
    ASSERT_EQ(found.weights, expected.weights);
    ASSERT_EQ(read_file(run + "/submission.csv"), submission);
    for (const auto& entry : std::filesystem::directory_iterator(run))
      EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();  // of those that were killed
    std::filesystem::remove_all(run);
    ++runs;
  }
  fmt::print("{} kills, {} of them while a file was being replaced; {} runs ended with weights {}\n", kills, replacing,
             runs, weights_checksum(expected));
  EXPECT_GT(replacing, kills / 4);
  EXPECT_GT(runs, 0);
}

bool out_of_memory(const auto& work) {
  try {
    work();
    return false;
  } catch (const std::bad_alloc&) {
    return true;
  }
}

/// What became of the processes in which an allocation failed.
struct Failures {
  int64_t said = 0;     // `work` noticed
  int64_t aborted = 0;  // the JSON library's destructors allocate: where that fails the process ends
  int64_t silent = 0;   // nobody noticed
};

/// Calls `work` in a process of its own with every `stride`-th of its allocations failing, until it gets through; it
/// returns whether it noticed. `check` looks at what each process left.
template <class Work, class Check>
Failures with_each_allocation_failing(int64_t stride, Work work, Check check) {
  Failures failures;
  for (int64_t n = 1;; n += stride) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (std::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(9);  // terminate() talks
      const int64_t before = allocation_count();
      fail_allocation(n);
      const bool noticed = out_of_memory([&] {
        if (work()) throw std::bad_alloc();
      });
      fail_allocation(0);
      ::_exit(allocation_count() - before < n ? 0 : noticed ? 1 : 2);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
      ++failures.aborted;
    else if (WEXITSTATUS(status) == 0)
      return failures;
    else
      ++(WEXITSTATUS(status) == 1 ? failures.said : failures.silent);
    check();
  }
}

TEST_F(Durability, RunningOutOfMemoryLeavesAWholeFile) {
  if (!allocation_failures_work()) GTEST_SKIP() << "this build's allocations cannot be made to fail";
  DiskFileSystem files;
  const std::string path = folder_.file("state.kiln");
  Checkpoint old;
  old.weights.resize(model_.weight_bytes, 1);
  old.progress = {{"epoch", 1}};
  save_checkpoint(files, path, model_, old);
  const std::string before = read_file(path);
  Checkpoint next = old;
  next.weights.assign(model_.weight_bytes, 2);
  save_checkpoint(files, path, model_, next);
  const std::string after = read_file(path);
  save_checkpoint(files, path, model_, old);
  Failures failures = with_each_allocation_failing(
      1, [&] { return out_of_memory([&] { save_checkpoint(files, path, model_, next); }); },
      [&] {
        // What fails behind the rename, in a destructor, leaves the new file.
        const std::string found = read_file(path);
        EXPECT_TRUE(found == before || found == after);
        EXPECT_EQ(folder_.names(), (std::vector<std::string>{"state.kiln", "test.csv", "train.csv"}));
        if (found == after) save_checkpoint(files, path, model_, old);
      });
  EXPECT_GT(failures.said, 20);
  EXPECT_EQ(failures.silent, 0);

  failures = with_each_allocation_failing(
      1, [&] { return out_of_memory([&] { load_checkpoint(path, model_); }); }, [] {});
  EXPECT_GT(failures.said, 10);
  EXPECT_EQ(failures.silent, 0);

  failures = with_each_allocation_failing(
      1, [&] { return out_of_memory([&] {
                 load_dataset(folder_.file("train.csv"), {4, 4, 1}, 3);
               }); }, [] {});
  EXPECT_GT(failures.said, 3);
  EXPECT_EQ(failures.silent, 0);
  EXPECT_EQ(failures.aborted, 0);
}

TEST_F(Durability, ARunThatGetsNoMemorySaysSo) {
  if (!allocation_failures_work()) GTEST_SKIP() << "this build's allocations cannot be made to fail";
  ::tzset();  // the C library reads its time zones once, and does without them where there is no memory
  const std::string run = folder_.file("run");
  const Failures failures = with_each_allocation_failing(
      37,
      [&] {
        DiskFileSystem files;
        std::ostringstream out, err;
        const int code =
            train_command(arguments(run), model_,
                          {.out = out, .err = err, .files = files, .style = {}, .interrupted = [] { return false; }});
        return code == 1 && err.str() == "small_train: error: not enough memory\n";
      },
      [&] {
        expect_whole_files(run);
        std::filesystem::remove_all(run);
      });
  EXPECT_GT(failures.said, 20);
  EXPECT_EQ(failures.silent, 0);
}

}  // namespace
}  // namespace kiln
