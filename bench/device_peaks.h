// The ceilings of a device that is not the cpu, measured with kernels of the bench (peak_kernels.h). Buffers and
// programs live as long as the object, which must not outlive the device.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "bench/peak_kernels.h"
#include "bench/workload.h"

namespace nibble::bench {

// Bytes and operations per second.
struct DeviceSample {
  double read = 0;   // from memory
  double cache = 0;  // from kCacheBytes, again and again
  double f32 = 0;
};

class DevicePeaks {
 public:
  static constexpr uint64_t kCacheBytes = uint64_t{1} << 20;

  explicit DevicePeaks(Device& device);

  // Reading and f32 multiply-adds: ceilings beside which a kernel is put that takes `window` seconds (cpu_ceilings.h).
  DeviceSample sample(double window = 0);

  // The fastest way of each kind on this device, found at the first call. `bytes` is the memory read or copied (0: far
  // more than caches hold); x wraps around, so that small memory is read from the caches.
  const Workload& workload(PeakKind kind, uint64_t bytes = 0);

  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  Workload record(const PeakKernel& kernel, uint64_t bytes);
  Workload fastest(PeakKind kind, uint64_t bytes);

  Device& device_;
  uint64_t memory_bytes_ = 0;
  BufferView x_;
  BufferView y_;
  std::map<std::pair<PeakKind, uint64_t>, Workload> workloads_;
};

}  // namespace nibble::bench
