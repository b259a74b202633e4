#include "parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "denormals.h"
#include "error.h"
#include "program.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kiln {
namespace {

/// How often a waiting thread looks before it sleeps: about as long as the gap between two parallel loops of a step, so
/// that nobody sleeps within a step, and nobody burns a core that another process wants.
constexpr int kSpins = 4000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

/// How many forks this process came out of: a forked child has none of its parent's workers.
std::atomic<uint64_t> forks{0};
void count_forks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
  static_cast<void>(registered);
}

thread_local bool inside_task = false;
thread_local int pool_thread = 0;  // 0: a caller; else which worker of its pool

// A thread's share of the current loop in one word: a generation, the end of the indices and the first that is not
// taken. Taking one is a single exchange that fails when the loop is over, so that the caller never waits for a thread
// that has not taken anything (another process may have its core).
constexpr int kIndexBits = 20;
constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;
constexpr uint64_t kOneFromBack = uint64_t{1} << kIndexBits;

uint64_t share_of(uint64_t generation, int begin, int end) {
  return generation << (2 * kIndexBits) | static_cast<uint64_t>(end) << kIndexBits | static_cast<uint64_t>(begin);
}
uint64_t first(uint64_t share) { return share & kIndexMask; }
uint64_t end(uint64_t share) { return share >> kIndexBits & kIndexMask; }

/// In a cache line of its own.
struct alignas(64) Share {
  std::atomic<uint64_t> indices{0};

  bool available() const {
    const uint64_t now = indices.load();
    return first(now) < end(now);
  }

  /// The first index that is left, or, for another thread's share, the last; -1 when none is.
  int take(bool own) {
    uint64_t now = indices.load(std::memory_order_acquire);
    while (first(now) < end(now)) {
      if (indices.compare_exchange_weak(now, own ? now + 1 : now - kOneFromBack, std::memory_order_acq_rel,
                                        std::memory_order_acquire))
        return static_cast<int>(own ? first(now) : end(now) - 1);
    }
    return -1;
  }
};

}  // namespace

struct ThreadPool::State {
  // Written by the caller before the shares are published, stable until the last index is done.
  Task task = nullptr;
  void* context = nullptr;
  uint8_t* closure = nullptr;
  int begin = 0, count = 0;
  uint64_t floating_point = 0;  // the caller's mode, in which every thread computes
  std::atomic<int> result{0};

  explicit State(int threads) : shares(static_cast<size_t>(threads)) {}
  std::vector<Share> shares;  // of the caller, then of each worker
  std::atomic<int> done{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable started, finished;
  std::atomic<int> sleeping{0};
  std::atomic<bool> caller_sleeps{false};
  std::mutex callers;  // loops of different calling threads take turns
  const uint64_t made_in = forks.load();

  bool forked() const { return forks.load(std::memory_order_relaxed) != made_in; }
  uint64_t generation = 0;
};

ThreadPool::ThreadPool(int threads) : state_(new State(std::max(threads, 1))) {
  count_forks();
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::exception& error) {  // the system has a limit: those that run are not to be left behind
    const size_t started = workers_.size() + 1;
    end_workers();
    throw Failure("only " + std::to_string(started) + " of " + std::to_string(threads) +
                  " threads can be started: " + error.what() + "; ask for fewer");
  }
}

ThreadPool::~ThreadPool() { end_workers(); }

void ThreadPool::end_workers() {
  if (state_->forked()) {  // they are the parent's; nor can what they wait for be taken apart here
    static_cast<void>(state_.release());
    static_cast<void>(new std::vector<std::thread>(std::move(workers_)));
    return;
  }
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->started.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::take_indices(int thread) {
  State& s = *state_;
  inside_task = true;
  uint64_t mode = floating_point_mode();
  const auto threads = static_cast<int>(s.shares.size());
  for (int other = 0; other < threads; ++other) {
    Share& share = s.shares[static_cast<size_t>((thread + other) % threads)];
    for (int index; (index = share.take(other == 0)) >= 0;) {
      // The next loop may have begun, in another mode.
      if (std::exchange(mode, s.floating_point) != s.floating_point) set_floating_point_mode(mode);
      if (const int r = s.task(s.context, s.begin + index, s.closure); r != 0) s.result = r;
      const int count = s.count;
      if (s.done.fetch_add(1) + 1 == count && s.caller_sleeps.load()) {
        const std::lock_guard lock(s.mutex);
        s.finished.notify_one();
      }
    }
  }
  inside_task = false;
}

void ThreadPool::work(int worker) {
  State& s = *state_;
  pool_thread = worker;
  // Sequentially consistent, as is the caller's look at `sleeping`: one of the two sees what the other wrote.
  const Share& own = s.shares[static_cast<size_t>(worker)];
  const auto wanted = [&] { return own.available() || s.stop.load(); };
  while (!s.stop) {
    for (int spin = 0; spin < kSpins && !wanted(); ++spin) pause();
    if (!wanted()) {
      std::unique_lock lock(s.mutex);
      ++s.sleeping;
      s.started.wait(lock, wanted);
      --s.sleeping;
    }
    take_indices(worker);
  }
}

int ThreadPool::run(Task task, void* context, int begin, int count, uint8_t* closure) {
  if (count <= 0) return 0;
  if (count == 1 || workers_.empty() || inside_task || state_->forked() || static_cast<uint64_t>(count) > kIndexMask) {
    int result = 0;
    for (int i = begin; i < begin + count; ++i) {
      if (const int r = task(context, i, closure); r != 0) result = r;
    }
    return result;
  }
  State& s = *state_;
  const std::lock_guard turn(s.callers);
  s.task = task;
  s.context = context;
  s.closure = closure;
  s.begin = begin;
  s.count = count;
  s.floating_point = floating_point_mode();
  s.result = 0;
  s.done = 0;
  ++s.generation;
  const auto threads = static_cast<int64_t>(s.shares.size());
  for (int64_t i = 0; i < threads; ++i) {
    s.shares[static_cast<size_t>(i)].indices =
        share_of(s.generation, static_cast<int>(count * i / threads), static_cast<int>(count * (i + 1) / threads));
  }
  if (s.sleeping.load() > 0) {
    { const std::lock_guard lock(s.mutex); }  // a worker between its test and its wait must get there first
    s.started.notify_all();
  }
  take_indices(0);
  for (int spin = 0; spin < kSpins && s.done.load() != count; ++spin) pause();
  if (s.done.load() != count) {
    std::unique_lock lock(s.mutex);
    s.caller_sleeps = true;
    s.finished.wait(lock, [&] { return s.done.load() == count; });
    s.caller_sleeps = false;
  }
  return s.result;
}

// A block's size stands in front of it, in a cache line of its own.
constexpr uint64_t kHeader = 64;

namespace {

/// The thread that is counted for a block; kernels release where they allocate.
size_t held_by(size_t threads) {
  const auto thread = static_cast<size_t>(pool_thread);
  return thread < threads ? thread : 0;
}

}  // namespace

Context::~Context() {
  for (auto& [size, blocks] : blocks_) {
    for (void* block : blocks.free) std::free(static_cast<uint8_t*>(block) - kHeader);
  }
}

void* Context::allocate(uint64_t bytes) {
  const uint64_t size = (bytes + 63) / 64 * 64;
  const std::lock_guard lock(mutex_);
  Blocks& blocks = blocks_[size];
  const auto threads = static_cast<size_t>(pool.threads());
  if (blocks.within.empty()) blocks.within.resize(threads);
  if (inside_task)
    blocks.most_within = std::max(blocks.most_within, ++blocks.within[held_by(threads)]);
  else
    blocks.most_outside = std::max(blocks.most_outside, ++blocks.outside);
  // Every thread may come to hold as many as any did, a loop's caller beside what it holds around the loop: how they
  // meet in a step is chance, and later ones must find enough.
  const size_t wanted = threads * static_cast<size_t>(blocks.most_within) + static_cast<size_t>(blocks.most_outside);
  if (blocks.total < wanted) {
    blocks.free.reserve(wanted);  // so that releasing does not allocate
    for (; blocks.total < wanted; ++blocks.total) {
      auto* memory = static_cast<uint8_t*>(std::aligned_alloc(kHeader, size + kHeader));
      if (memory == nullptr) throw std::bad_alloc();
      std::memcpy(memory, &size, sizeof size);
      blocks.free.push_back(memory + kHeader);
    }
  }
  void* block = blocks.free.back();
  blocks.free.pop_back();
  return block;
}

void Context::release(void* pointer) {
  if (pointer == nullptr) return;
  uint64_t size;
  std::memcpy(&size, static_cast<uint8_t*>(pointer) - kHeader, sizeof size);
  const std::lock_guard lock(mutex_);
  Blocks& blocks = blocks_[size];
  --(inside_task ? blocks.within[held_by(blocks.within.size())] : blocks.outside);
  blocks.free.push_back(pointer);
}

}  // namespace kiln

extern "C" {

int kiln_parallel_for(void* context, int (*task)(void* context, int index, uint8_t* closure), int begin, int count,
                      uint8_t* closure) {
  return static_cast<kiln::Context*>(context)->pool.run(task, context, begin, count, closure);
}

void* kiln_allocate(void* context, uint64_t bytes) { return static_cast<kiln::Context*>(context)->allocate(bytes); }

void kiln_release(void* context, void* pointer) { static_cast<kiln::Context*>(context)->release(pointer); }

}  // extern "C"
