#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace kiln {

/// Runs the parallel loops of kernels, by the caller and `threads - 1` workers. Each begins with its own share of the
/// indices, the same part of every loop, so that it finds in its caches what it wrote in the loop before; when it is
/// through, it takes from the end of the others' shares. Which thread runs an index makes no difference to the result:
/// kernels fix every order of summation themselves.
class ThreadPool {
 public:
  /// One index of a parallel loop; Halide's task signature.
  using Task = int (*)(void* context, int index, uint8_t* closure);

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Runs task(context, i, closure) for i in [begin, begin + count) and returns when all are done. A call from within a
  /// task runs inline, and so does one in a forked child, which has no workers (no call must be in progress at the
  /// fork). Returns the last non-zero result of a task, else 0.
  int run(Task task, void* context, int begin, int count, uint8_t* closure);

  /// The same for any callable of one int.
  template <class Work>
  void for_each(int count, Work work) {
    run([](void*, int index, uint8_t* closure) { return (*reinterpret_cast<Work*>(closure))(index), 0; }, nullptr, 0,
        count, reinterpret_cast<uint8_t*>(&work));
  }

 private:
  struct State;
  void take_indices(int thread);
  void work(int worker);
  void end_workers();

  std::unique_ptr<State> state_;
  std::vector<std::thread> workers_;
};

/// What compiled kernels get as `context`: threads, and scratch memory that is allocated once and then reused. Two of
/// them do not disturb each other.
class Context {
 public:
  explicit Context(int threads) : pool(threads) {}
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void* allocate(uint64_t bytes);
  void release(void* pointer);

  ThreadPool pool;

 private:
  struct Blocks {
    std::vector<void*> free;
    size_t total = 0;
    // Held now and at most ever: by each thread of the pool within a task, by one of them; and outside of tasks, by
    // all.
    std::vector<int> within;
    int most_within = 0, outside = 0, most_outside = 0;
  };
  std::mutex mutex_;
  std::map<uint64_t, Blocks> blocks_;  // by size: a kernel asks for the same ones in every step
};

}  // namespace kiln
