#include "runtime/base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/base/error.h"

namespace nibble {
namespace {

size_t available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max<size_t>(1, static_cast<size_t>(CPU_COUNT(&set)));
  return std::max(1u, std::thread::hardware_concurrency());
}

// A decode step is a few hundred loops of some microseconds each: waking a sleeping thread costs more than the loop, so
// workers spin this many pauses (about 30 us) before they sleep.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<uint64_t> generation{0};
  std::atomic<bool> stop{false};

  // The loop being run. Written before `generation` is raised, read after a worker sees the new value.
  const std::function<void(size_t, size_t)>* body = nullptr;
  size_t count = 0;
  size_t grain = 1;
  std::atomic<size_t> next{0};
  std::atomic<size_t> busy{0};
  std::mutex error_mutex;
  std::exception_ptr error;

  void run_pieces() {
    for (;;) {
      const size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= count) return;
      try {
        (*body)(begin, std::min(count, begin + grain));
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
  }

  void work() {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation.load(std::memory_order_acquire) == seen; ++spin) pause();
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen; });
      }
      seen = generation.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      run_pieces();
      busy.fetch_sub(1, std::memory_order_release);
    }
  }

  void raise_generation() {
    {
      const std::lock_guard lock(mutex);  // a worker between its test and its wait must not miss this
      generation.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
  }
};

ThreadPool::ThreadPool(size_t threads) : state_(std::make_unique<State>()) {
  const size_t total = threads == 0 ? available_processors() : threads;
  for (size_t i = 1; i < total; ++i) state_->workers.emplace_back([state = state_.get()] { state->work(); });
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_release);
  state_->raise_generation();
  for (std::thread& worker : state_->workers) worker.join();
}

size_t ThreadPool::size() const { return state_->workers.size() + 1; }

void ThreadPool::parallel_for(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body) {
  if (count == 0) return;
  grain = std::max<size_t>(grain, 1);
  if (state_->workers.empty() || count <= grain) {
    for (size_t begin = 0; begin < count; begin += grain) body(begin, std::min(count, begin + grain));
    return;
  }
  State& s = *state_;
  s.body = &body;
  s.count = count;
  s.grain = grain;
  s.error = nullptr;
  s.next.store(0, std::memory_order_relaxed);
  s.busy.store(s.workers.size(), std::memory_order_relaxed);
  s.raise_generation();
  s.run_pieces();
  for (int spin = 0; s.busy.load(std::memory_order_acquire) != 0; ++spin) {
    // With more threads than free processors the worker waited for may need this one.
    spin < kSpins ? pause() : std::this_thread::yield();
  }
  if (s.error) std::rethrow_exception(s.error);
}

}  // namespace nibble
