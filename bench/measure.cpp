#include "bench/measure.h"

#include <algorithm>

#include <fmt/format.h>

#include "bench/clock.h"
#include "runtime/cpu/cpu_features.h"

namespace nibble::bench {
namespace {

constexpr uint32_t kDeviceRuns = 5;
constexpr uint32_t kEmptyRuns = 200;
constexpr uint32_t kMaxRepeats = 200;
constexpr uint64_t kCachedBelow = uint64_t{16} << 20;  // half of a last-level cache of 32 MiB

uint32_t repeats_for(double seconds, const MeasureOptions& options) {
  if (seconds > options.long_seconds) return 1;
  const double wanted = options.slot_seconds / std::max(seconds, 1e-9);
  return std::clamp(static_cast<uint32_t>(std::min(wanted, 1e6)) + 1, options.min_repeats, kMaxRepeats);
}

double device_seconds(Device& device, Program& program, const std::vector<uint32_t>& step) {
  double total = 0;
  for (const DispatchTiming& timing : device.time_dispatches(program, step)) total += timing.seconds;
  return total;
}

using Rate = std::function<double(const CeilingSample&)>;

// By name: how far each slot is from doing `work` at the rate that was sampled beside it.
Ratio share_of(const PairedTimes& times, uint64_t work, const Rate& rate) {
  std::vector<double> values(times.best.size());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<double>(work) / rate(times.ceilings[i]) / times.best[i];
  }
  return ratio_of(values);
}

bool is_cpu(const Device& device) { return device.info().backend == BackendKind::kCpu; }

Ratio inverse(const Ratio& ratio) { return {.median = 1 / ratio.median, .min = 1 / ratio.max, .max = 1 / ratio.min}; }

double median_rate(const std::vector<CeilingSample>& samples, const Rate& rate) {
  std::vector<double> values;
  for (const CeilingSample& sample : samples) values.push_back(rate(sample));
  return summarise(values).median;
}

}  // namespace

// What the cpu device may use of the processor is what its kernels are put beside.
Ceilings::Ceilings(Device& device, uint32_t threads)
    : cpu_(is_cpu(device) ? cpu_isa_of(device.info().capabilities) : detect_cpu_isa(),
           is_cpu(device) ? device.info().compute_units : threads) {
  if (device.info().backend != BackendKind::kCpu) own_ = std::make_unique<DevicePeaks>(device);
}

CeilingSample Ceilings::sample(double window) {
  CeilingSample sample{.cpu = cpu_.sample(window)};
  if (own_ != nullptr) sample.own = own_->sample(window);
  return sample;
}

double time_once(Device& device, Program& program, const std::vector<uint32_t>& step) {
  return seconds_of([&] { device.wait(device.submit(program, step)); });
}

PairedTimes measure_pairs(const TimedWork& work, bool warm, Ceilings& ceilings, const MeasureOptions& options) {
  const size_t count = warm ? 1 : work.count;
  size_t next = 0;
  const auto run = [&] {
    const size_t version = next++ % count;
    return seconds_of([&] { work.run(version); });
  };
  for (size_t i = 0; i < count; ++i) run();
  double window = run();
  const uint32_t repeats = repeats_for(window, options);

  PairedTimes times;
  for (uint32_t pair = 0; pair < options.pairs; ++pair) {
    times.ceilings.push_back(ceilings.sample(window));
    if (warm) run();
    double best = 0;
    for (uint32_t i = 0; i < repeats; ++i) {
      const double seconds = run();
      times.all.push_back(seconds);
      best = i == 0 ? seconds : std::min(best, seconds);
    }
    times.best.push_back(best);
    window = best;
  }
  for (uint32_t i = 0; work.device_seconds && i < std::min(kDeviceRuns, options.pairs); ++i) {
    times.device.push_back(work.device_seconds(next++ % count));
  }
  return times;
}

PairedTimes measure_pairs(Device& device, const Workload& workload, bool warm, Ceilings& ceilings,
                          const MeasureOptions& options) {
  const TimedWork work{
      .count = workload.programs.size(),
      .run = [&](size_t version) { device.wait(device.submit(*workload.programs[version], workload.step)); },
      .device_seconds =
          [&](size_t version) { return device_seconds(device, *workload.programs[version], workload.step); }};
  return measure_pairs(work, warm, ceilings, options);
}

std::string_view name_of(MathCeiling ceiling) {
  switch (ceiling) {
    case MathCeiling::kF32:
      return "f32";
    case MathCeiling::kBf16:
      return "bf16";
    case MathCeiling::kInt8:
      return "int8";
  }
  return "?";
}

double rate_of(MathCeiling ceiling, const CpuSample& sample) {
  const double rate = ceiling == MathCeiling::kInt8   ? sample.int8
                      : ceiling == MathCeiling::kBf16 ? sample.bf16
                                                      : sample.f32;
  return rate > 0 ? rate : sample.f32;
}

void fill_row(Row& row, const PairedTimes& times, MathCeiling math, double empty) {
  row.seconds = summarise(times.all);
  row.net_seconds = std::max(0.0, row.seconds.median - empty);
  row.device_seconds = times.device.empty() ? 0 : summarise(times.device).median;
  const auto share = [&](const std::string& name, uint64_t work, const Rate& rate) {
    if (work != 0) row.ratios["share_" + name] = share_of(times, work, rate);
  };
  share("read", row.bytes, [](const CeilingSample& s) { return s.cpu.read; });
  for (const MathCeiling ceiling : {MathCeiling::kF32, MathCeiling::kBf16, MathCeiling::kInt8}) {
    share(std::string(name_of(ceiling)), row.flops, [&](const CeilingSample& s) { return rate_of(ceiling, s.cpu); });
  }
  if (row.bytes != 0) row.ratios["t_mem"] = inverse(row.ratios["share_read"]);
  if (row.flops != 0) row.ratios["t_f32"] = inverse(row.ratios["share_f32"]);
  const bool elsewhere = times.ceilings.front().own.has_value();
  // What fits a cache and was there a moment ago is not read from memory.
  const bool cached = row.data == "warm" && row.bytes <= kCachedBelow;
  const Rate read = [&](const CeilingSample& s) {
    const double memory = elsewhere ? s.own->read : s.cpu.read;
    return cached ? std::max(memory, elsewhere ? s.own->cache : s.cpu.cache) : memory;
  };
  const Rate peak = [&](const CeilingSample& s) { return elsewhere ? s.own->f32 : rate_of(math, s.cpu); };
  if (elsewhere) {
    share("own_read", row.bytes, [](const CeilingSample& s) { return s.own->read; });
    share("own_f32", row.flops, peak);
  }
  if (row.bytes == 0 && row.flops == 0) return;
  const Ratio of_read = row.bytes == 0 ? Ratio{} : share_of(times, row.bytes, read);
  const Ratio of_peak = row.flops == 0 ? Ratio{} : share_of(times, row.flops, peak);
  const bool memory_binds = of_read.median >= of_peak.median;
  row.ceiling = !memory_binds ? std::string(elsewhere ? "f32" : name_of(math)) : cached ? "cache" : "read";
  row.share = memory_binds ? of_read : of_peak;
  row.ceiling_value = median_rate(times.ceilings, memory_binds ? read : peak) / 1e9;
}

double empty_seconds(Device& device) {
  const Workload empty = empty_dispatch(device);
  std::vector<double> seconds;
  for (uint32_t i = 0; i < kEmptyRuns; ++i) seconds.push_back(time_once(device, *empty.programs.front(), empty.step));
  return summarise(seconds).median;
}

}  // namespace nibble::bench
