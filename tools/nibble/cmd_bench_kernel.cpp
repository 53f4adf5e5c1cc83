// nibble bench kernel: kernels by themselves, at the shapes of a real model.
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "bench/kernel_bench.h"
#include "runtime/base/error.h"
#include "tools/nibble/bench_commands.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  DeviceFlags device;
  ReportFlags report;
  bench::KernelBenchOptions options;
  std::vector<std::string> shape;  // "rows=4096"
};

void parse_shape(const std::vector<std::string>& assignments, bench::ProblemRequest& request) {
  for (const std::string& text : assignments) {
    const size_t equals = text.find('=');
    double value = 0;
    const char* end = text.data() + text.size();
    const bool given = equals != std::string::npos && equals > 0;
    const auto parsed = given ? std::from_chars(text.data() + equals + 1, end, value) : std::from_chars_result{};
    if (!given || parsed.ec != std::errc() || parsed.ptr != end || !(value >= 0) || value > 4294967295.0) {
      fail(ErrorCode::kUsage, "--shape {}: expected name=number, for example rows=4096", text);
    }
    request.overrides[text.substr(0, equals)] = value;
  }
}

void run(const Flags& flags) {
  bench::KernelBenchOptions options = flags.options;
  parse_shape(flags.shape, options.request);
  check_overrides(bench::select_kernels(options.kernels), options.request);
  const DeviceOptions device_flags = device_options(flags.device);
  const auto device = open_device(flags.device.name, device_flags);
  const auto rows = measure_kernels(*device, device_flags, options);
  if (rows.empty()) fail(ErrorCode::kUsage, "nothing to measure: no kernel has such a variant or shape on this device");
  report(rows, flags.report);
}

}  // namespace

void add_bench_kernel_command(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("kernel", "Kernels by themselves, in every variant, at real shapes");
  auto flags = std::make_shared<Flags>();
  bench::KernelBenchOptions& options = flags->options;
  command->add_option("name", options.kernels,
                      "Kernels, by the beginning of their names or a pattern: gemm, 'moe_*fp8*' (default: all)");
  add_variant_flag(*command, options.variants);
  command->add_option("--shape", flags->shape, "Change params of the shapes by name, for example rows=4096,cols=512")
      ->type_name("NAME=N[,…]")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_tokens_flag(*command, options.tokens);
  command
      ->add_option("--position", options.request.position, "Position of the first token: what attention looks back on")
      ->type_name("N")
      ->check(CLI::Range(0u, 1u << 20))
      ->capture_default_str();
  add_measure_flags(*command, options.measure);
  command->add_flag("!--no-baseline", options.baseline,
                    "On OpenCL: leave out the rows of the same products by CLBlast in f32");
  add_report_flags(*command, flags->report);
  add_device_flags(*command, flags->device);
  command->footer(
      "Shapes are those of DeepSeek-V4-Flash; the moe kernels get 24 experts. ms: from submit to the end of wait; "
      "net:\n"
      "less an empty dispatch; device: by the device's timestamps. Cold: inputs alternate among copies that exceed "
      "the\n"
      "caches; warm: always the same.\n"
      "Examples:\n"
      "  nibble bench kernel gemm_fp8 -d cpu --tokens 1,64\n"
      "  nibble bench kernel attention -d vulkan:0 --position 65535 --shape window=128");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
