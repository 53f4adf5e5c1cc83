#include "bench/peak_bench.h"

#include <fmt/format.h>

#include "bench/clock.h"
#include "runtime/base/rng.h"
#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"
#include "shaders/norm/quant_fp8_f32/quant_fp8_f32.h"

namespace nibble::bench {
namespace {

constexpr uint32_t kChain = 64;  // dispatches of the program that tells what one more costs

// Collects rows about one device.
class PeakBench {
 public:
  PeakBench(Device& device, Ceilings& ceilings, const PeakBenchOptions& options,
            const std::function<void(const Row&)>& on_row)
      : device_(device), ceilings_(ceilings), options_(options), on_row_(on_row) {}

  std::vector<Row> run() {
    ceilings_.own() == nullptr ? add_cpu() : add_kernels(*ceilings_.own());
    add_latencies();
    add_transfers();
    return std::move(rows_);
  }

 private:
  Row row(const std::string& what, const std::string& data, const std::string& shape) const {
    return {.device = device_.info().name,
            .driver = driver_text(device_.info()),
            .kernel = what,
            .shape = shape,
            .data = data};
  }

  void add(Row row) {
    rows_.push_back(std::move(row));
    if (on_row_) on_row_(rows_.back());
  }

  // `rate` gives bytes or operations per second, one sample.
  template <typename F>
  void add_cpu_rate(Row row, uint64_t Row::*amount, uint64_t work, F&& rate) {
    rate();
    std::vector<double> seconds;
    for (uint32_t i = 0; i < options_.measure.pairs; ++i) seconds.push_back(static_cast<double>(work) / rate());
    row.*amount = work;
    row.seconds = summarise(seconds);
    row.variant = ceilings_.cpu().loops().isa;
    add(std::move(row));
  }

  void add_cpu() {
    constexpr uint64_t kWork = 1'000'000'000;
    CpuCeilings& cpu = ceilings_.cpu();
    const std::string cached = fmt::format("{} per thread", format_bytes(options_.cache_bytes));
    add_cpu_rate(row("read", "cold", ""), &Row::bytes, kWork, [&] { return cpu.read_bandwidth(); });
    add_cpu_rate(row("read", "warm", cached), &Row::bytes, kWork,
                 [&] { return cpu.cached_read_bandwidth(options_.cache_bytes); });
    add_cpu_rate(row("copy", "cold", ""), &Row::bytes, kWork, [&] { return cpu.copy_bandwidth(); });
    const CpuLoops& loops = cpu.loops();
    add_cpu_rate(row("f32", "", ""), &Row::flops, kWork, [&] { return cpu.peak(loops.f32); });
    if (loops.bf16.run != nullptr) {
      add_cpu_rate(row("bf16", "", ""), &Row::flops, kWork, [&] { return cpu.peak(loops.bf16); });
    }
    if (loops.int8.run != nullptr) {
      add_cpu_rate(row("int8", "", ""), &Row::flops, kWork, [&] { return cpu.peak(loops.int8); });
    }
  }

  void add_kernel(DevicePeaks& peaks, PeakKind kind, const std::string& data, uint64_t bytes) {
    const Workload& workload = peaks.workload(kind, bytes);
    const bool memory = kind == PeakKind::kRead || kind == PeakKind::kCopy;
    Row row = this->row(std::string(name_of(kind)), data,
                        memory ? format_bytes(bytes == 0 ? peaks.memory_bytes() : bytes) : "");
    row.variant = workload.variant();
    row.bytes = workload.bytes;
    row.flops = workload.flops;
    std::vector<double> seconds;
    std::vector<double> timed;
    for (uint32_t i = 0; i < options_.measure.pairs; ++i) {
      seconds.push_back(time_once(device_, *workload.programs.front(), workload.step));
      timed.push_back(device_.time_dispatches(*workload.programs.front(), workload.step).front().seconds);
    }
    row.seconds = summarise(seconds);
    row.device_seconds = summarise(timed).median;
    add(std::move(row));
  }

  void add_kernels(DevicePeaks& peaks) {
    add_kernel(peaks, PeakKind::kRead, "cold", 0);
    add_kernel(peaks, PeakKind::kRead, "warm", options_.cache_bytes);
    add_kernel(peaks, PeakKind::kCopy, "cold", 0);
    add_kernel(peaks, PeakKind::kCopy, "warm", options_.cache_bytes);
    for (const PeakKind kind : {PeakKind::kF32, PeakKind::kF16, PeakKind::kBf16, PeakKind::kInt8}) {
      add_kernel(peaks, kind, "", 0);
    }
  }

  // Each dispatch reads what the one before it wrote, as in a model.
  Workload chain() {
    const auto a = device_.allocate(512, "chain.a");
    const auto b = device_.allocate(512, "chain.b");
    Rng rng(1);
    const std::vector<float> x = spec::normal_floats(rng, 128);
    device_.upload(a, std::as_bytes(std::span(x)));
    DispatchList list;
    list.set_step_words(kStepHeaderWords);
    for (uint32_t i = 0; i < kChain; ++i) {
      list.add({.kernel = &kernels::quant_fp8_f32(),
                .params = pack_params(QuantParams{.cols = 128}),
                .bindings = {i % 2 == 0 ? a : b, i % 2 == 0 ? b : a},
                .label = "chain"});
    }
    Workload workload{.step = spec::step_words({.n_tokens = 1})};
    workload.programs.push_back(device_.record(list));
    return workload;
  }

  void add_latencies() {
    const Workload one = empty_dispatch(device_);
    const Workload many = chain();
    std::vector<double> submits;
    std::vector<double> dispatches;
    for (const Workload* workload : {&one, &many}) time_once(device_, *workload->programs.front(), workload->step);
    for (uint32_t i = 0; i < 4 * options_.measure.pairs; ++i) {
      const double alone = time_once(device_, *one.programs.front(), one.step);
      const double chained = time_once(device_, *many.programs.front(), many.step);
      submits.push_back(alone);
      dispatches.push_back((chained - alone) / (kChain - 1));
    }
    Row submit = row("submit", "", "1 dispatch");
    submit.variant = one.variant();
    submit.seconds = summarise(submits);
    add(std::move(submit));
    Row dispatch = row("dispatch", "", fmt::format("{} dispatches, each after the other", kChain));
    dispatch.variant = one.variant();
    dispatch.seconds = summarise(dispatches);
    add(std::move(dispatch));
  }

  void add_transfers() {
    const DeviceLimits& limits = device_.info().limits;
    const uint64_t bytes = std::min({options_.transfer_bytes, limits.max_allocation, limits.max_range}) / 16 * 16;
    const BufferView view = device_.allocate(bytes, "transfer");
    std::vector<uint64_t> words(bytes / 8);
    Rng rng(2);
    for (uint64_t& word : words) word = rng.next_u64();
    for (const bool up : {true, false}) {
      Row row = this->row(up ? "upload" : "download", "", format_bytes(bytes));
      row.bytes = bytes;
      std::vector<double> seconds;
      for (uint32_t i = 0; i < options_.measure.pairs; ++i) {
        seconds.push_back(seconds_of([&] {
          up ? device_.upload(view, std::as_bytes(std::span(words)))
             : device_.download(view, std::as_writable_bytes(std::span(words)));
        }));
      }
      row.seconds = summarise(seconds);
      add(std::move(row));
    }
  }

  Device& device_;
  Ceilings& ceilings_;
  const PeakBenchOptions& options_;
  const std::function<void(const Row&)>& on_row_;
  std::vector<Row> rows_;
};

}  // namespace

std::vector<Row> run_peak_bench(Device& device, Ceilings& ceilings, const PeakBenchOptions& options,
                                const std::function<void(const Row&)>& on_row) {
  return PeakBench(device, ceilings, options, on_row).run();
}

}  // namespace nibble::bench
