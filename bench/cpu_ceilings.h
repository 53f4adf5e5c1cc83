// What the host's processor can do at best at this moment, sampled again and again between measurements: these machines
// drift, so a share is only as good as the ceiling that was taken beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bench/cpu_loops.h"
#include "runtime/base/thread_pool.h"

namespace nibble::bench {

// One sample of all ceilings; 0 where the processor has no such instruction.
struct CpuSample {
  double read = 0;   // bytes per second from DRAM, all threads
  double cache = 0;  // the same from kCacheBytes per thread, again and again
  double f32 = 0;    // operations per second (a multiply-add is two), all threads
  double bf16 = 0;
  double int8 = 0;
};

// Owns the memory that is read and the threads. Used from one thread at a time.
class CpuCeilings {
 public:
  static constexpr int kTries = 4;
  static constexpr double kSustainedFrom = 0.03;
  static constexpr double kLongestWindow = 0.1;
  static constexpr uint64_t kCacheBytes = uint64_t{512} << 10;  // fits the second-level caches of today

  // The loops of `isa`, which the processor must have. Reads walk through `memory_bytes`, which must exceed the
  // last-level cache several times. threads = 0: all.
  explicit CpuCeilings(CpuIsa isa, uint32_t threads = 0, uint64_t memory_bytes = uint64_t{512} << 20);

  // The best of kTries tries of each, about 2 ms long: noise on a shared machine only ever slows down. Work that takes
  // `window` seconds cannot slip between the noise, though: from kSustainedFrom on, tries fill that time (at most
  // kLongestWindow) and their mean counts.
  CpuSample sample(double window = 0);
  double read_bandwidth();
  // Bytes moved (read plus written) per second.
  double copy_bandwidth();
  // Bytes per second that all threads read from `bytes` each, again and again.
  double cached_read_bandwidth(uint64_t bytes);
  double peak(const MathLoopInfo& loop);

  const CpuLoops& loops() const { return loops_; }
  size_t threads() const { return pool_.size(); }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  void keep(double value);

  CpuLoops loops_;
  ThreadPool pool_;
  uint64_t bytes_;
  std::unique_ptr<std::byte, Free> memory_;
  uint64_t next_ = 0;  // where the next read begins
  double sink_ = 0;    // what the loops returned
};

// What CpuCeilings::sample() makes of repeated tries of one ceiling; 0 where a try gives 0.
double sampled_rate(double window, int tries, const std::function<double()>& rate_once);

}  // namespace nibble::bench
