#include "parallel.h"

#include <atomic>
#include <cstdlib>
#include <new>

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

thread_local bool inside_task = false;

}  // namespace

struct ThreadPool::Loop {
  Task task = nullptr;
  void* context = nullptr;
  uint8_t* closure = nullptr;
  int end = 0;
  std::atomic<int> next{0};
  std::atomic<int> result{0};
};

struct ThreadPool::State {
  Loop loop;
  std::atomic<uint64_t> generation{0};  // of the loop; workers wait for the next
  std::atomic<int> running{0};          // workers that have not finished the loop
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable started, finished;
  std::atomic<int> sleeping{0};
  std::atomic<bool> caller_sleeps{false};
  std::mutex callers;  // loops of different calling threads take turns
};

ThreadPool::ThreadPool(int threads) : state_(new State) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->started.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::take_indices(Loop& loop) {
  inside_task = true;
  while (true) {
    const int index = loop.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= loop.end) break;
    if (const int result = loop.task(loop.context, index, loop.closure); result != 0) loop.result = result;
  }
  inside_task = false;
}

void ThreadPool::work() {
  State& s = *state_;
  uint64_t seen = 0;
  while (true) {
    for (int spin = 0; spin < kSpins && s.generation.load(std::memory_order_acquire) == seen && !s.stop; ++spin) pause();
    if (s.generation.load(std::memory_order_acquire) == seen && !s.stop) {
      std::unique_lock lock(s.mutex);
      ++s.sleeping;
      s.started.wait(lock, [&] { return s.generation.load(std::memory_order_acquire) != seen || s.stop; });
      --s.sleeping;
    }
    if (s.stop) return;
    seen = s.generation.load(std::memory_order_acquire);
    take_indices(s.loop);
    if (s.running.fetch_sub(1, std::memory_order_acq_rel) == 1 && s.caller_sleeps.load()) {
      const std::lock_guard lock(s.mutex);
      s.finished.notify_one();
    }
  }
}

int ThreadPool::run(Task task, void* context, int begin, int count, uint8_t* closure) {
  if (count <= 0) return 0;
  if (count == 1 || workers_.empty() || inside_task) {
    int result = 0;
    for (int i = begin; i < begin + count; ++i) {
      if (const int r = task(context, i, closure); r != 0) result = r;
    }
    return result;
  }
  State& s = *state_;
  const std::lock_guard turn(s.callers);
  s.loop.task = task;
  s.loop.context = context;
  s.loop.closure = closure;
  s.loop.end = begin + count;
  s.loop.next.store(begin, std::memory_order_relaxed);
  s.loop.result.store(0, std::memory_order_relaxed);
  s.running.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  s.generation.fetch_add(1);
  if (s.sleeping.load() > 0) {
    { const std::lock_guard lock(s.mutex); }  // a worker between its test and its wait must get there first
    s.started.notify_all();
  }
  take_indices(s.loop);
  for (int spin = 0; spin < kSpins && s.running.load(std::memory_order_acquire) != 0; ++spin) pause();
  if (s.running.load(std::memory_order_acquire) != 0) {
    std::unique_lock lock(s.mutex);
    s.caller_sleeps = true;
    s.finished.wait(lock, [&] { return s.running.load(std::memory_order_acquire) == 0; });
    s.caller_sleeps = false;
  }
  return s.loop.result;
}

// A block's size stands in front of it, in a cache line of its own.
constexpr uint64_t kHeader = 64;

Context::~Context() {
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks) std::free(static_cast<uint8_t*>(block) - kHeader);
  }
}

void* Context::allocate(uint64_t bytes) {
  const uint64_t size = (bytes + 63) / 64 * 64;
  {
    const std::lock_guard lock(mutex_);
    std::vector<void*>& blocks = free_[size];
    if (!blocks.empty()) {
      void* block = blocks.back();
      blocks.pop_back();
      return block;
    }
    blocks.reserve(64);  // releasing must not allocate
  }
  auto* memory = static_cast<uint8_t*>(std::aligned_alloc(64, size + kHeader));
  if (memory == nullptr) throw std::bad_alloc();
  *reinterpret_cast<uint64_t*>(memory) = size;
  return memory + kHeader;
}

void Context::release(void* pointer) {
  if (pointer == nullptr) return;
  const uint64_t size = *reinterpret_cast<uint64_t*>(static_cast<uint8_t*>(pointer) - kHeader);
  const std::lock_guard lock(mutex_);
  free_[size].push_back(pointer);
}

}  // namespace kiln

extern "C" {

int kiln_parallel_for(void* context, int (*task)(void* context, int index, uint8_t* closure), int begin, int count, uint8_t* closure) {
  return static_cast<kiln::Context*>(context)->pool.run(task, context, begin, count, closure);
}

void* kiln_allocate(void* context, uint64_t bytes) { return static_cast<kiln::Context*>(context)->allocate(bytes); }

void kiln_release(void* context, void* pointer) { static_cast<kiln::Context*>(context)->release(pointer); }

}  // extern "C"
