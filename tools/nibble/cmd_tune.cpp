// nibble tune: which variant of the matrix kernels is the fastest on a device, as rows of the tuning table.
#include <memory>

#include <fmt/format.h>

#include "bench/kernel_bench.h"
#include "bench/tune.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/core/kernel_table.h"
#include "runtime/core/variant.h"
#include "tools/nibble/bench_commands.h"
#include "tools/nibble/command.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  DeviceFlags device;
  bench::KernelBenchOptions options;
};

void run(const Flags& flags) {
  const DeviceOptions device_flags = device_options(flags.device);
  const auto device = open_device(flags.device.name, device_flags);
  const DeviceInfo info = device->info();
  if (info.backend == BackendKind::kCpu) {
    fail(ErrorCode::kUsage, "the cpu's kernels are chosen by its instruction set; tune a Vulkan or OpenCL device");
  }
  const auto rows = measure_kernels(*device, device_flags, flags.options);
  const auto usual = [&](const std::string& kernel, uint32_t tokens) {
    return std::string(default_variant(find_kernel(kernel), info, tokens).name);
  };
  std::string text;
  for (const bench::TuneChoice& choice : fastest_variants(rows, usual)) {
    text += fmt::format("    {}  // {:.1f} x\n", tuning_line(choice, info.driver), choice.gain);
  }
  if (text.empty()) {
    say("nibble: on {} no variant is {:.0f} % faster than the default one\n", info.name,
        (bench::kWorthwhileGain - 1) * 100);
  }
  write_stdout(text);
}

}  // namespace

void add_tune_command(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  flags->options.kernels = {"gemm", "moe_up", "moe_down", "moe_pairs"};
  flags->options.tokens = {1, 4, 16, 64, 256};
  flags->options.measure.pairs = 5;
  CLI::App* command = program.add_subcommand("tune", "Find the fastest variant of each matrix kernel on a device");
  command->add_option("name", flags->options.kernels, "Kernels, or how their names begin")
      ->default_str(fmt::format("{}", fmt::join(flags->options.kernels, " ")));
  add_variant_flag(*command, flags->options.variants);
  add_tokens_flag(*command, flags->options.tokens);
  add_measure_flags(*command, flags->options.measure);
  add_device_flags(*command, flags->device);
  command->footer(
      "Measures every variant that the device can run at the shapes of DeepSeek-V4-Flash and prints a line for\n"
      "runtime/core/tuning.inc wherever another than the default variant is at least 10 % faster, with the factor.\n"
      "The default variant must be among those of --variant. Texts for GPUs take minutes on software drivers.\n"
      "Example:\n"
      "  nibble tune -d vulkan:0 gemm_fp8 --tokens 1,64");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
