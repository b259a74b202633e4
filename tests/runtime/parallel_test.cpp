// Threads and scratch memory: every index once, whoever calls, and no block twice.
#include "parallel.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <numeric>
#include <optional>
#include <set>
#include <thread>

#include "allocation_counter.h"
#include "denormals.h"
#include "program.h"

namespace kiln {
namespace {

TEST(ThreadPool, RunsEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int count : {0, 1, 2, 3, 7, 64, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
      pool.for_each(count, [&](int i) { ++seen[static_cast<size_t>(i)]; });
      for (const auto& times : seen) EXPECT_EQ(times, 1);
    }
  }
}

TEST(ThreadPool, BeginsWhereItIsTold) {
  ThreadPool pool(2);
  std::atomic<int> sum = 0;
  auto add = [&](int i) { sum += i; };
  using Add = decltype(add);
  pool.run([](void*, int i, uint8_t* closure) { return (*reinterpret_cast<Add*>(closure))(i), 0; }, nullptr, -3, 10,
           reinterpret_cast<uint8_t*>(&add));
  EXPECT_EQ(sum, -3 - 2 - 1 + 0 + 1 + 2 + 3 + 4 + 5 + 6);
}

// A step is some hundred short loops behind one another: what one wrote, the next one reads.
TEST(ThreadPool, ALoopSeesWhatTheOneBeforeWrote) {
  ThreadPool pool(3);
  std::vector<int64_t> values(37);
  for (int64_t loop = 0; loop < 20'000; ++loop) {
    const int count = static_cast<int>(1 + loop % 37);
    pool.for_each(count, [&](int i) {
      auto& value = values[static_cast<size_t>(i)];
      value = value + 1;
    });
  }
  for (int64_t i = 0; i < 37; ++i) {
    int64_t expected = 0;
    for (int64_t loop = 0; loop < 20'000; ++loop) expected += 1 + loop % 37 > i ? 1 : 0;
    EXPECT_EQ(values[static_cast<size_t>(i)], expected);
  }
}

// Longer than anybody spins before it sleeps.
void be_busy() {
  std::atomic<int> count = 0;
  while (count < 400'000) ++count;
}

TEST(ThreadPool, WorkersThatFellAsleepWakeUp) {
  ThreadPool pool(3);
  for (int loop = 0; loop < 20; ++loop) {
    be_busy();
    // Each of three tasks waits for the other two: it takes three threads to end this.
    std::atomic<int> begun = 0;
    std::atomic<bool> alone = false;
    pool.for_each(3, [&](int) {
      ++begun;
      for (int look = 0; begun < 3 && !alone; ++look) {
        if (look == 10'000'000) alone = true;
        std::this_thread::yield();
      }
    });
    ASSERT_FALSE(alone);
  }
}

TEST(ThreadPool, ACallerThatFellAsleepWakesUp) {
  ThreadPool pool(3);
  const auto caller = std::this_thread::get_id();
  for (int loop = 0; loop < 20; ++loop) {
    std::atomic<int> done = 0;
    pool.for_each(4, [&](int) {
      if (std::this_thread::get_id() != caller) be_busy();
      ++done;
    });
    ASSERT_EQ(done, 4);
  }
}

TEST(ThreadPool, ALoopInALoopRunsInline) {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> seen(20 * 30);
  pool.for_each(20, [&](int i) {
    const auto self = std::this_thread::get_id();
    pool.for_each(30, [&, self](int j) {
      if (std::this_thread::get_id() == self) ++seen[static_cast<size_t>(i * 30 + j)];
    });
  });
  for (const auto& times : seen) EXPECT_EQ(times, 1);
}

TEST(ThreadPool, AForkedChildComputesAlone) {
  std::optional<ThreadPool> pool(std::in_place, 3);
  const auto sum = [&] {
    std::atomic<int64_t> result = 0;
    pool->for_each(1000, [&](int i) { result += i; });
    return result.load();
  };
  EXPECT_EQ(sum(), 499'500);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(60);  // ends a child that waits for threads that it has not
    const bool right = sum() == 499'500;
    pool.reset();
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(sum(), 499'500);
}

TEST(ThreadPool, SeveralThreadsMayCall) {
  ThreadPool pool(2);
  std::array<int64_t, 4> sums = {};
  std::vector<std::thread> callers;
  for (size_t c = 0; c < sums.size(); ++c) {
    callers.emplace_back([&, c] {
      for (int loop = 0; loop < 500; ++loop) {
        std::atomic<int64_t> sum = 0;
        pool.for_each(10, [&](int i) { sum += i; });
        sums[c] += sum;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const int64_t sum : sums) EXPECT_EQ(sum, 500 * 45);
}

// More threads than cores, and loops so short that most workers come too late for them.
TEST(ThreadPool, TwoPoolsOfManyThreadsDoNotDisturbEachOther) {
  constexpr int kThreads = 8, kLoops = 2000;
  const auto count_with_a_pool = [](int size, int& wrong) {
    ThreadPool pool(kThreads);
    std::vector<int> seen(static_cast<size_t>(size));
    for (int loop = 1; loop <= kLoops; ++loop) {
      pool.for_each(size, [&](int i) { ++seen[static_cast<size_t>(i)]; });
      for (const int times : seen) wrong += times != loop;
    }
  };
  int wrong_here = 0, wrong_there = 0;
  std::thread other([&] { count_with_a_pool(3, wrong_there); });
  count_with_a_pool(20, wrong_here);
  other.join();
  EXPECT_EQ(wrong_here, 0);
  EXPECT_EQ(wrong_there, 0);
}

TEST(ThreadPool, ATasksErrorReachesTheCaller) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    const ThreadPool::Task task = [](void*, int i, uint8_t*) { return i == 5 ? -7 : 0; };
    EXPECT_EQ(pool.run(task, nullptr, 0, 10, nullptr), -7);
    EXPECT_EQ(pool.run(task, nullptr, 0, 5, nullptr), 0);  // and is forgotten
  }
}

int64_t threads_of_this_process() {
  int64_t threads = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) ++threads;
  return threads;
}

// A product that is no normal number, as each task computes it, with and without flushing.
TEST(ThreadPool, ComputesInTheCallersFloatingPointMode) {
  ThreadPool pool(4);
  const auto products = [&pool] {
    std::vector<float> values(64);
    pool.for_each(64, [&](int i) {
      volatile float small = 1e-30F;
      values[static_cast<size_t>(i)] = small * 1e-10F;
    });
    return values;
  };
  const float denormal = 1e-40F;
  EXPECT_EQ(products(), std::vector<float>(64, denormal));
  {
    const FlushDenormals flush;
    EXPECT_EQ(products(), std::vector<float>(64, 0));
  }
  EXPECT_EQ(products(), std::vector<float>(64, denormal));
}

TEST(ThreadPool, StartsItsThreadsAtTheBeginningOnly) {
  ThreadPool pool(3);
  const int64_t threads = threads_of_this_process();
  EXPECT_GE(threads, 3);
  const int64_t allocated = allocation_count();
  for (int loop = 0; loop < 100; ++loop) pool.for_each(10, [](int) {});
  EXPECT_EQ(allocation_count(), allocated);
  EXPECT_EQ(threads_of_this_process(), threads);
}

TEST(Context, AllocatesOnTheFirstRequestOnly) {
  Context context(3);
  const auto loop = [&] {
    context.pool.for_each(30, [&](int) {
      void* block = context.allocate(10'000);
      context.release(block);
    });
  };
  loop();  // perhaps by one thread
  const int64_t allocated = allocation_count();
  EXPECT_GT(allocated, 0);
  for (int i = 0; i < 100; ++i) loop();  // by any of them, at once
  EXPECT_EQ(allocation_count(), allocated);
}

TEST(Context, HasEnoughForACallerThatHoldsABlockAroundALoop) {
  Context context(3);
  void* const around = context.allocate(10'000);
  context.pool.for_each(3, [&](int) { context.release(context.allocate(10'000)); });  // perhaps by workers alone
  const int64_t allocated = allocation_count();
  std::atomic<int> entered = 0;
  context.pool.for_each(3, [&](int) {  // by all three at once
    void* block = context.allocate(10'000);
    ++entered;
    while (entered < 3) std::this_thread::yield();
    context.release(block);
  });
  context.release(around);
  EXPECT_EQ(allocation_count(), allocated);
}

TEST(Context, GivesAlignedMemoryThatNobodyElseHas) {
  Context context(1);
  std::vector<uint8_t*> blocks;
  for (const uint64_t bytes : {0, 1, 63, 64, 65, 1000, 1000, 1000, 100'000}) {
    auto* block = static_cast<uint8_t*>(kiln_allocate(&context, bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    std::fill(block, block + bytes, static_cast<uint8_t>(blocks.size()));
    blocks.push_back(block);
  }
  EXPECT_EQ(blocks[5][999], 5);
  EXPECT_EQ(blocks[6][0], 6);
  EXPECT_EQ(std::set<uint8_t*>(blocks.begin(), blocks.end()).size(), blocks.size());
  for (uint8_t* block : blocks) kiln_release(&context, block);
  kiln_release(&context, nullptr);
}

TEST(Context, GivesReleasedMemoryAgain) {
  Context context(1);
  void* a = context.allocate(1000);
  void* b = context.allocate(1000);
  context.release(a);
  EXPECT_EQ(context.allocate(1000), a);
  context.release(b);
  context.release(a);
  std::set<void*> again = {context.allocate(1000), context.allocate(1000)};
  EXPECT_EQ(again, (std::set<void*>{a, b}));
  for (void* block : again) context.release(block);
}

TEST(Context, ManyThreadsTakeAndGive) {
  Context context(4);
  std::atomic<int> clashes = 0;
  for (int loop = 0; loop < 200; ++loop) {
    context.pool.for_each(16, [&](int i) {
      const auto bytes = static_cast<uint64_t>(64 * (1 + i % 3));
      auto* block = static_cast<uint8_t*>(context.allocate(bytes));
      std::fill(block, block + bytes, static_cast<uint8_t>(i));
      for (uint64_t at = 0; at < bytes; ++at) clashes += block[at] != static_cast<uint8_t>(i) ? 1 : 0;
      context.release(block);
    });
  }
  EXPECT_EQ(clashes, 0);
}

}  // namespace
}  // namespace kiln
