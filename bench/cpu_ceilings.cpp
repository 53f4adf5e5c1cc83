#include "bench/cpu_ceilings.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bench/clock.h"
#include "runtime/base/error.h"
#include "runtime/core/device_info.h"

namespace nibble::bench {
namespace {

constexpr size_t kPiece = 1 << 20;            // of the memory, taken by whichever thread is free
constexpr uint64_t kReadBytes = 64 * kPiece;  // of one try
constexpr uint64_t kMathPiece = 16'000'000;   // operations: some hundred microseconds
constexpr uint64_t kMathPieces = 8;           // per thread and try
constexpr uint64_t kCachedBytes = 128 << 20;  // read in all by one try

// Sums of all pieces, so that no loop is optimised away.
class Sum {
 public:
  void add(double value) {
    double before = total_.load(std::memory_order_relaxed);
    while (!total_.compare_exchange_weak(before, before + value, std::memory_order_relaxed)) {
    }
  }
  double total() const { return total_.load(); }

 private:
  std::atomic<double> total_{0};
};

}  // namespace

double sampled_rate(double window, int tries, const std::function<double()>& rate_once) {
  const auto begin = std::chrono::steady_clock::now();
  const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  const bool sustained = window >= CpuCeilings::kSustainedFrom;
  double best = 0;
  double time_per_work = 0;
  int done = 0;
  while (done < tries || (sustained && spent() < std::min(window, CpuCeilings::kLongestWindow))) {
    const double rate = rate_once();
    if (rate <= 0) return 0;
    best = std::max(best, rate);
    time_per_work += 1 / rate;  // tries do equal work: the mean rate is their harmonic mean
    ++done;
  }
  return sustained ? done / time_per_work : best;
}

void CpuCeilings::Free::operator()(std::byte* memory) const { std::free(memory); }

CpuCeilings::CpuCeilings(CpuIsa isa, uint32_t threads, uint64_t memory_bytes)
    : loops_(loops_of(isa)),
      pool_(threads),
      bytes_(std::max<uint64_t>(memory_bytes / kPiece, 2) * kPiece),
      memory_(static_cast<std::byte*>(std::aligned_alloc(4096, bytes_))) {
  if (memory_ == nullptr) fail(ErrorCode::kOutOfMemory, "{} for the read ceiling", format_bytes(bytes_));
  // Not zeros: pages of zeros may be one page.
  pool_.parallel_for(bytes_ / kPiece, 1, [&](size_t begin, size_t end) {
    for (size_t at = begin * kPiece; at < end * kPiece; at += 8) {
      const uint64_t word = at * 0x9e3779b97f4a7c15u;
      std::memcpy(memory_.get() + at, &word, 8);
    }
  });
}

void CpuCeilings::keep(double value) { sink_ += value; }

CpuSample CpuCeilings::sample(double window) {
  return {.read = sampled_rate(window, kTries, [this] { return read_bandwidth(); }),
          .cache = sampled_rate(window, kTries, [this] { return cached_read_bandwidth(kCacheBytes); }),
          .f32 = sampled_rate(window, kTries, [this] { return peak(loops_.f32); }),
          .bf16 = sampled_rate(window, kTries, [this] { return peak(loops_.bf16); }),
          .int8 = sampled_rate(window, kTries, [this] { return peak(loops_.int8); })};
}

double CpuCeilings::read_bandwidth() {
  const uint64_t bytes = std::min(kReadBytes, bytes_);
  if (next_ + bytes > bytes_) next_ = 0;
  const std::byte* first = memory_.get() + next_;
  next_ += bytes;
  Sum sum;
  const double seconds = seconds_of([&] {
    pool_.parallel_for(bytes / kPiece, 2, [&](size_t begin, size_t end) {
      sum.add(static_cast<double>(loops_.read({first + begin * kPiece, (end - begin) * kPiece})));
    });
  });
  keep(sum.total());
  return static_cast<double>(bytes) / seconds;
}

double CpuCeilings::copy_bandwidth() {
  const uint64_t half = bytes_ / kPiece / 2;
  const double seconds = seconds_of([&] {
    pool_.parallel_for(half, 2, [&](size_t begin, size_t end) {
      std::memcpy(memory_.get() + (half + begin) * kPiece, memory_.get() + begin * kPiece, (end - begin) * kPiece);
    });
  });
  return static_cast<double>(2 * half * kPiece) / seconds;
}

double CpuCeilings::cached_read_bandwidth(uint64_t bytes) {
  const uint64_t size = std::clamp<uint64_t>(bytes / 4096 * 4096, 4096, bytes_ / pool_.size() / 4096 * 4096);
  const uint64_t rounds = std::max<uint64_t>(1, kCachedBytes / size / pool_.size());
  Sum sum;
  const auto read_all = [&](uint64_t times) {
    pool_.parallel_for(pool_.size(), 1, [&](size_t begin, size_t end) {
      for (size_t thread = begin; thread < end; ++thread) {
        for (uint64_t i = 0; i < times; ++i) {
          sum.add(static_cast<double>(loops_.read({memory_.get() + thread * size, size})));
        }
      }
    });
  };
  read_all(1);
  const double seconds = seconds_of([&] { read_all(rounds); });
  keep(sum.total());
  return static_cast<double>(rounds * size * pool_.size()) / seconds;
}

double CpuCeilings::peak(const MathLoopInfo& loop) {
  if (loop.run == nullptr) return 0;
  const uint64_t rounds = kMathPiece / loop.flops_per_round;
  const uint64_t pieces = kMathPieces * pool_.size();
  Sum sum;
  const double seconds = seconds_of([&] {
    pool_.parallel_for(pieces, 1, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) sum.add(static_cast<double>(loop.run(rounds)));
    });
  });
  keep(sum.total());
  return static_cast<double>(pieces * rounds * loop.flops_per_round) / seconds;
}

}  // namespace nibble::bench
