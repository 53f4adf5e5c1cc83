// The measuring loop. A ceiling and a workload are sampled alternately (A B A B …), so that both see the same machine;
// a share is the median of the ratios pair by pair. In each pair the ceiling is the best of a few short tries and the
// workload the best of its repetitions: what else runs on the machine can only slow either down. A workload too long to
// slip between such noise is put beside the mean rate of a window as long as itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/cpu_ceilings.h"
#include "bench/device_peaks.h"
#include "bench/row.h"
#include "bench/workload.h"

namespace nibble::bench {

struct MeasureOptions {
  uint32_t pairs = 15;
  double slot_seconds = 0.008;  // a slot repeats the workload until so much time is spent …
  uint32_t min_repeats = 3;     // … and at least so often, unless a repetition is longer than long_seconds
  double long_seconds = 0.15;
};

struct CeilingSample {
  CpuSample cpu;
  std::optional<DeviceSample> own;  // of a device that is not the cpu
};

// Samples the cpu and, where the workload runs elsewhere, that device too.
class Ceilings {
 public:
  // `threads` of the cpu beside another device; 0 = all. The cpu device says its own.
  explicit Ceilings(Device& device, uint32_t threads = 0);
  // For work that takes `window` seconds; see CpuCeilings::sample().
  CeilingSample sample(double window);
  CpuCeilings& cpu() { return cpu_; }
  DevicePeaks* own() { return own_.get(); }  // null for the cpu

 private:
  CpuCeilings cpu_;
  std::unique_ptr<DevicePeaks> own_;
};

// What was measured, pair by pair.
struct PairedTimes {
  std::vector<CeilingSample> ceilings;
  std::vector<double> best;    // seconds, best of each slot
  std::vector<double> all;     // seconds, every repetition
  std::vector<double> device;  // seconds by device timestamps, a few runs
};

// Seconds from submit to the end of wait.
double time_once(Device& device, Program& program, const std::vector<uint32_t>& step);

// What is timed: versions of the same work on different data.
struct TimedWork {
  size_t count = 1;
  std::function<void(size_t version)> run;               // and waits
  std::function<double(size_t version)> device_seconds;  // by the device's timestamps; empty: it has none
};

// `warm` repeats the first version, with one run that is not timed in front of every slot; otherwise all take turns.
// Has the work run before, so that nothing is compiled in a slot.
PairedTimes measure_pairs(const TimedWork& work, bool warm, Ceilings& ceilings, const MeasureOptions& options);
// The same for a workload's programs.
PairedTimes measure_pairs(Device& device, const Workload& workload, bool warm, Ceilings& ceilings,
                          const MeasureOptions& options);

// Which multiply-add a kernel may use at best.
enum class MathCeiling { kF32, kBf16, kInt8 };
std::string_view name_of(MathCeiling ceiling);
// The rate of it in a sample; that of f32 where the processor has no such instruction.
double rate_of(MathCeiling ceiling, const CpuSample& sample);

// Fills times, ceiling, share and the paired ratios of `row`, whose bytes and flops are set: t_mem = time ÷ (bytes ÷
// the cpu's read bandwidth), t_f32 = time ÷ (flops ÷ the cpu's f32 peak). The share is of the ceiling that binds, of
// the device that ran it: on the cpu reading or `math`, elsewhere that device's own reading or f32.
void fill_row(Row& row, const PairedTimes& times, MathCeiling math, double empty_seconds);

// Median time of an empty dispatch.
double empty_seconds(Device& device);

}  // namespace nibble::bench
