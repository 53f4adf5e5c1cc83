// nibble bench moe: the FP4 expert block at real size.
#include <memory>

#include "bench/moe_bench.h"
#include "runtime/base/error.h"
#include "tools/nibble/bench_commands.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  DeviceFlags device;
  ReportFlags report;
  bench::MoeBenchOptions options;
  std::string numerics = "reference";
  std::vector<std::string> parts;
};

bench::MoePart part_from_name(const std::string& name) {
  return name == "up" ? bench::MoePart::kUp : name == "down" ? bench::MoePart::kDown : bench::MoePart::kBlock;
}

void check_shape(const bench::MoeShape& shape) {
  if (shape.active > shape.experts) {
    fail(ErrorCode::kUsage, "--active {}: there are only {} experts", shape.active, shape.experts);
  }
  if (shape.hidden % 32 != 0 || shape.width % 32 != 0) {
    fail(ErrorCode::kUsage, "--hidden {} --width {}: both must be multiples of 32, the block of an FP4 scale",
         shape.hidden, shape.width);
  }
}

void run(const Flags& flags) {
  bench::MoeBenchOptions options = flags.options;
  check_shape(options.shape);
  options.numerics = numerics_from_name(flags.numerics);
  if (!flags.parts.empty()) {
    options.parts.clear();
    for (const std::string& part : flags.parts) options.parts.push_back(part_from_name(part));
  }
  const DeviceOptions device_flags = device_options(flags.device);
  const auto device = open_device(flags.device.name, device_flags);
  bench::Ceilings ceilings(*device, device_flags.threads);
  ProgressBar bar("measuring");
  const uint64_t total = options.parts.size() * options.tokens.size();
  uint64_t done = 0;
  const auto rows = run_moe_bench(*device, ceilings, options, [&](const bench::Row& row) {
    if (row.data == "cold") bar.update(++done, total);
  });
  report(rows, flags.report);
}

}  // namespace

void add_bench_moe_command(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("moe", "The FP4 expert block of a mixture-of-experts layer at real size");
  auto flags = std::make_shared<Flags>();
  bench::MoeShape& shape = flags->options.shape;
  const auto add_size = [command](const char* name, uint32_t& value, uint32_t most, const char* text) {
    command->add_option(name, value, text)->type_name("N")->check(CLI::Range(1u, most))->capture_default_str();
  };
  add_size("--experts", shape.experts, 4096, "Experts; their weights should exceed the caches several times");
  add_size("--active", shape.active, 64, "Experts that a token goes to");
  add_size("--hidden", shape.hidden, 1u << 16, "Columns of w1 and w3, rows of w2");
  add_size("--width", shape.width, 1u << 16, "Rows of w1 and w3, columns of w2");
  add_tokens_flag(*command, flags->options.tokens);
  command
      ->add_option("--part", flags->parts,
                   "up: w1 and w3 with the gate; down: w2 and the sum; block: all (default: each)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"up", "down", "block"}));
  command
      ->add_option("--numerics", flags->numerics,
                   "reference: activations rounded as the model was trained; fast; plain")
      ->check(CLI::IsMember({"reference", "fast", "plain"}))
      ->capture_default_str();
  add_measure_flags(*command, flags->options.measure);
  command->add_flag("!--no-baseline", flags->options.baseline,
                    "On OpenCL: leave out the rows of the same products by CLBlast in f32");
  add_report_flags(*command, flags->report);
  add_device_flags(*command, flags->device);
  command->footer(
      "Cold: the experts of a token change from one repetition to the next, so that their weights come from DRAM.\n"
      "Warm: the same experts every time. t_mem and t_f32: time as a multiple of what the cpu's read bandwidth and\n"
      "f32 peak would take, sampled in turn with it.\n"
      "Example:\n"
      "  nibble bench moe -d cpu --experts 24 --active 6 --tokens 1,4,16,64,256 --json moe.json");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
