// ThreadPool: a fixed set of workers that run one parallel loop at a time. The calling thread takes part, so a pool of
// N threads starts N - 1. Owned by the CPU device; parallel_for is called from one thread at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace nibble {

class ThreadPool {
 public:
  // threads = 0 takes as many as this process has processors. Where the system refuses threads, there are fewer of them
  // and a warning. With more threads than processors none spins while it waits.
  explicit ThreadPool(size_t threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t size() const;

  // Runs body(begin, end) over disjoint pieces of [0, count), each at most `grain` long; returns when all are done.
  // An exception from a body is rethrown here, after the other pieces have finished.
  void parallel_for(size_t count, size_t grain, const std::function<void(size_t begin, size_t end)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nibble
