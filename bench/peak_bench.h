// `nibble bench peak`: what a device can do at best.
#pragma once

#include <functional>
#include <vector>

#include "bench/measure.h"

namespace nibble::bench {

struct PeakBenchOptions {
  MeasureOptions measure;
  uint64_t cache_bytes = uint64_t{1} << 20;      // that "warm" reads and copies walk through, per thread on the cpu
  uint64_t transfer_bytes = uint64_t{64} << 20;  // of one upload or download
};

// Rows: read and copy (cold: DRAM, warm: caches), f32, f16, bf16, int8, "submit" (one empty dispatch, there and back),
// "dispatch" (each further one of a program), "upload" and "download". On the cpu, f16 is missing: no kernel computes
// in it. Other devices' rows name the fastest way of several as their variant.
std::vector<Row> run_peak_bench(Device& device, Ceilings& ceilings, const PeakBenchOptions& options,
                                const std::function<void(const Row&)>& on_row = {});

}  // namespace nibble::bench
