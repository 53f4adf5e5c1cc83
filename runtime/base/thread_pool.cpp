#include "runtime/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/processors.h"

namespace nibble {
namespace {

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
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  // Here and not in the pool: a pool whose constructor throws has started workers as well.
  ~State() {
    stop.store(true, std::memory_order_release);
    open_gate();
    for (std::thread& worker : workers) worker.join();
  }

  std::vector<std::thread> workers;
  int spins = kSpins;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<bool> stop{false};

  // Which loop is run, whether workers may still join it, and how many have. One that is not on a processor when the
  // last piece is taken stays outside: the loop ends without it, however long other programs keep it waiting.
  std::atomic<uint64_t> gate{kClosed};
  static constexpr uint64_t kInside = 0xffff;
  static constexpr uint64_t kClosed = 0x10000;
  static constexpr int kNumberShift = 17;
  static uint64_t number_of(uint64_t gate) { return gate >> kNumberShift; }

  // The loop being run. Written before the gate opens, read by who is inside.
  const std::function<void(size_t, size_t)>* body = nullptr;
  size_t count = 0;
  size_t grain = 1;
  std::atomic<size_t> next{0};
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

  // Joins the loop if it is another one than `seen` and still open.
  bool enter(uint64_t& seen) {
    uint64_t now = gate.load(std::memory_order_acquire);
    for (;;) {
      if (number_of(now) == seen) return false;
      if ((now & kClosed) != 0) break;
      if (gate.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel, std::memory_order_acquire)) break;
    }
    seen = number_of(now);
    return (now & kClosed) == 0;
  }

  void work() {
    uint64_t seen = 0;
    const auto is_new = [&] { return number_of(gate.load(std::memory_order_acquire)) != seen; };
    for (;;) {
      for (int spin = 0; spin < spins && !is_new(); ++spin) pause();
      if (!is_new()) {
        std::unique_lock lock(mutex);
        wake.wait(lock, is_new);
      }
      if (stop.load(std::memory_order_acquire)) return;
      if (!enter(seen)) continue;
      run_pieces();
      gate.fetch_sub(1, std::memory_order_release);
    }
  }

  // Nobody is inside.
  void open_gate() {
    {
      const std::lock_guard lock(mutex);  // a worker between its test and its wait must not miss this
      gate.store((number_of(gate.load(std::memory_order_relaxed)) + 1) << kNumberShift, std::memory_order_release);
    }
    wake.notify_all();
  }
};

ThreadPool::ThreadPool(size_t threads) : state_(std::make_unique<State>()) {
  const size_t processors = usable_processors().usable;
  const size_t total = threads == 0 ? processors : threads;
  // Who spins keeps from its processor whoever it waits for.
  if (total > processors) state_->spins = 0;
  try {
    state_->workers.reserve(total - 1);
    while (state_->workers.size() + 1 < total) {
      state_->workers.emplace_back([state = state_.get()] { state->work(); });
    }
  } catch (const std::system_error& error) {  // a limit on processes, or no memory for another stack
    warn("{} of {} threads could be started ({}); going on with those", size(), total, error.code().message());
  } catch (const std::bad_alloc&) {
    warn("{} of {} threads could be started (out of memory); going on with those", size(), total);
  }
}

ThreadPool::~ThreadPool() = default;

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
  s.open_gate();
  s.run_pieces();
  s.gate.fetch_or(State::kClosed, std::memory_order_acq_rel);
  for (int spin = 0; (s.gate.load(std::memory_order_acquire) & State::kInside) != 0; ++spin) {
    // With more threads than free processors the worker waited for may need this one.
    spin < s.spins ? pause() : std::this_thread::yield();
  }
  if (s.error) std::rethrow_exception(s.error);
}

}  // namespace nibble
