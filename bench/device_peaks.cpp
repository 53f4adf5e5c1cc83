#include "bench/device_peaks.h"

#include <algorithm>
#include <bit>

#include "bench/clock.h"
#include "bench/cpu_ceilings.h"
#include "runtime/base/error.h"
#include "runtime/base/rng.h"
#include "runtime/core/variant.h"

namespace nibble::bench {
namespace {

constexpr uint64_t kMemoryBytes = uint64_t{256} << 20;  // eight times the caches of the drivers seen
constexpr uint64_t kElement = 16;
constexpr int kTries = 3;
constexpr double kEnoughSeconds = 0.05;  // of one try: slow drivers take half a second
constexpr uint32_t kReadsPerInvocation = 128;
// Rounds of the chains: enough work for a millisecond on a processor, and far below the 65,535 iterations after which
// llvmpipe ends a loop.
constexpr uint32_t kRounds = 2048;

double seconds_once(Device& device, const Workload& workload) {
  return seconds_of([&] { device.wait(device.submit(*workload.programs.front(), workload.step)); });
}

double work_of(const Workload& workload) {
  return static_cast<double>(workload.flops != 0 ? workload.flops : workload.bytes);
}

double rate_once(Device& device, const Workload& workload) {
  return work_of(workload) / seconds_once(device, workload);
}

double best_rate(Device& device, const Workload& workload) {
  double best = 0;
  for (int i = 0; i < kTries; ++i) best = std::max(best, rate_once(device, workload));
  return best;
}

}  // namespace

DevicePeaks::DevicePeaks(Device& device) : device_(device) {
  const DeviceLimits& limits = device.info().limits;
  const uint64_t most = std::min({kMemoryBytes, limits.max_range, limits.max_allocation, limits.memory_bytes / 4});
  memory_bytes_ = std::bit_floor(std::max<uint64_t>(most, 4096));
  x_ = device.allocate(memory_bytes_, "peak.x");
  y_ = device.allocate(memory_bytes_, "peak.y");
  std::vector<uint64_t> words(memory_bytes_ / 8);
  Rng rng(1);
  for (uint64_t& word : words) word = rng.next_u64();
  device.upload(x_, std::as_bytes(std::span(words)));
  device.fill(y_, kPoison);
}

DeviceSample DevicePeaks::sample(double window) {
  const auto rate = [&](const Workload& workload) {
    // A slow driver's single try fills a window by itself.
    const int tries = rate_once(device_, workload) * kEnoughSeconds > work_of(workload) ? kTries : 1;
    return sampled_rate(window, tries, [&] { return rate_once(device_, workload); });
  };
  return {.read = rate(workload(PeakKind::kRead)),
          .cache = rate(workload(PeakKind::kRead, kCacheBytes)),
          .f32 = rate(workload(PeakKind::kF32))};
}

const Workload& DevicePeaks::workload(PeakKind kind, uint64_t bytes) {
  const uint64_t size = bytes == 0 ? memory_bytes_ : std::min(std::bit_floor(bytes), memory_bytes_);
  const auto found = workloads_.find({kind, size});
  if (found != workloads_.end()) return found->second;
  return workloads_.emplace(std::pair{kind, size}, fastest(kind, size)).first->second;
}

Workload DevicePeaks::fastest(PeakKind kind, uint64_t bytes) {
  Workload best;
  double best_found = 0;
  for (const PeakKernel& kernel : peak_kernels()) {
    if (kernel.kind != kind || !is_supported(kernel.spec.variants.front(), device_.info())) continue;
    Workload workload = record(kernel, bytes);
    seconds_once(device_, workload);  // compiles
    const double rate = best_rate(device_, workload);
    if (best.programs.empty() || rate > best_found) {
      best = std::move(workload);
      best_found = rate;
    }
  }
  check(!best.programs.empty(), "no kernel measures {} on {}", name_of(kind), device_.info().name);
  return best;
}

Workload DevicePeaks::record(const PeakKernel& kernel, uint64_t bytes) {
  const bool memory = kernel.kind == PeakKind::kRead || kernel.kind == PeakKind::kCopy;
  const uint32_t workgroup = kernel.spec.variants.front().workgroup;
  // Small memory is read several times over, so that a dispatch is long against the time it takes to start.
  const uint64_t moved = std::max<uint64_t>(bytes, memory_bytes_ / 4);
  const uint32_t units = std::max(1u, device_.info().compute_units);
  const uint64_t lanes = memory ? std::max<uint64_t>(workgroup, moved / kElement / kReadsPerInvocation)
                                : uint64_t{workgroup} * units * (device_.info().is_wide_cpu() ? 64 : 8192);
  const PeakParams params{.count = memory ? kReadsPerInvocation : kRounds,
                          .stride = kernel.contiguous ? 1u : static_cast<uint32_t>(lanes),
                          .mask = static_cast<uint32_t>(bytes / kElement - 1),
                          .workgroups = static_cast<uint32_t>(lanes / workgroup),
                          .factor = 0.999f,
                          .term = 0.5f};
  const uint64_t outputs = std::min<uint64_t>(kernel.kind == PeakKind::kCopy ? bytes : lanes * kElement, memory_bytes_);
  const uint64_t inputs = memory ? bytes : kElement;
  DispatchList list;
  list.add({.kernel = &kernel.spec,
            .params = pack_params(params),
            .bindings = {BufferView(x_.buffer, 0, inputs), BufferView(y_.buffer, 0, outputs)},
            .label = fmt::format("peak.{}", name_of(kernel.kind))});
  Workload workload;
  const uint64_t touched = lanes * kReadsPerInvocation * kElement;
  workload.bytes = !memory ? 0 : kernel.kind == PeakKind::kCopy ? 2 * touched : touched;
  workload.flops = lanes * kRounds * kernel.flops_per_round;
  workload.programs.push_back(device_.record(list));
  return workload;
}

}  // namespace nibble::bench
