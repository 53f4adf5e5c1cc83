// nibble bench peak: the ceilings of a device.
#include <memory>

#include "bench/peak_bench.h"
#include "tools/nibble/bench_commands.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  DeviceFlags device;
  ReportFlags report;
  bench::PeakBenchOptions options;
};

void run(const Flags& flags) {
  const DeviceOptions options = device_options(flags.device);
  const auto device = open_device(flags.device.name, options);
  bench::Ceilings ceilings(*device, options.threads);
  ProgressBar bar("measuring");
  uint64_t done = 0;
  const auto rows =
      run_peak_bench(*device, ceilings, flags.options, [&](const bench::Row&) { bar.update(++done, 12); });
  report(rows, flags.report);
}

}  // namespace

void add_bench_peak_command(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("peak", "The ceilings of a device: bandwidths, multiply-adds, latencies");
  auto flags = std::make_shared<Flags>();
  add_measure_flags(*command, flags->options.measure);
  add_report_flags(*command, flags->report);
  add_device_flags(*command, flags->device);
  command->footer(
      "read, copy: cold from far more memory than caches hold, warm from 1 MiB. f32, f16, bf16, int8: multiply-adds "
      "as\n"
      "kernels can issue them, stored words decoded where there is no instruction; a multiply-add is two operations.\n"
      "submit: one empty dispatch, from submit to the end of wait. dispatch: each further one in a program.\n"
      "Example:\n"
      "  nibble bench peak -d vulkan:0");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
