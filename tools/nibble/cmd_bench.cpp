// nibble bench: what this machine and this device can do, and how near to it the kernels come.
#include <fmt/format.h>

#include "bench/html.h"
#include "bench/report.h"
#include "runtime/base/log.h"
#include "runtime/base/output_file.h"
#include "tools/nibble/bench_commands.h"
#include "tools/nibble/command.h"
#include "tools/nibble/terminal.h"

namespace nibble {

namespace {

constexpr auto kReportHeading = "Report";

}  // namespace

void add_report_flags(CLI::App& command, ReportFlags& flags) {
  command.add_option("--json", flags.json, "Also write the rows to a file (docs/measuring.md lists the keys)")
      ->type_name("FILE")
      ->each([](const std::string& path) { require_output(path); })
      ->group(kReportHeading);
  add_page_flags(command, flags);
}

void add_page_flags(CLI::App& command, ReportFlags& flags) {
  command.add_option("--html", flags.html, "Also write one self-contained page with a roofline plot and tables")
      ->type_name("FILE")
      ->each([](const std::string& path) { require_output(path); })
      ->group(kReportHeading);
  command.add_flag("--md", flags.markdown, "Print a Markdown table")->group(kReportHeading);
}

void add_measure_flags(CLI::App& command, bench::MeasureOptions& options) {
  command.add_option("--pairs", options.pairs, "How often ceiling and kernel are sampled, one after the other in turn")
      ->type_name("N")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str()
      ->group("Measuring");
}

void add_tokens_flag(CLI::App& command, std::vector<uint32_t>& tokens) {
  command.add_option("--tokens", tokens, "Tokens per step, one measurement each")
      ->type_name("N[,N]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1u, 65536u))
      ->default_str(fmt::format("{}", fmt::join(tokens, ",")));
}

void add_variant_flag(CLI::App& command, std::vector<std::string>& variants) {
  command.add_option("--variant", variants, "Only these variants (default: all that the device can run)")
      ->type_name("NAME[,NAME]")
      ->delimiter(',')
      ->allow_extra_args(false);
}

std::vector<bench::Row> measure_kernels(Device& device, const DeviceOptions& options,
                                        const bench::KernelBenchOptions& kernels) {
  bench::Ceilings ceilings(device, options.threads);
  const auto open = [&](const std::string& variant) {
    DeviceOptions forced = options;
    forced.force_variant = variant;
    return open_device(device.info().id, forced);
  };
  const bench::KernelBenchSinks sinks{.row = [](const bench::Row& row) { say("nibble: measured {}\n", row.key()); },
                                      .skipped = [](const std::string& why) { say("nibble: skipped {}\n", why); }};
  return run_kernel_bench(open, ceilings, device.info(), kernels, sinks);
}

void print_table(const bench::Table& table, const ReportFlags& flags) {
  write_stdout(flags.markdown ? to_markdown(table) : to_text(table));
}

void report(const std::vector<bench::Row>& rows, const ReportFlags& flags) {
  if (!flags.json.empty()) bench::write_rows(flags.json, rows);
  if (!flags.html.empty()) bench::write_text(flags.html, bench::rows_page(rows));
  print_table(bench::table_of(rows), flags);
}

void add_bench_command(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("bench", "Measure devices, kernels and models against what the machine can do");
  command->require_subcommand(1);
  add_bench_peak_command(*command);
  add_bench_kernel_command(*command);
  add_bench_moe_command(*command);
  add_bench_attention_command(*command);
  add_bench_decode_command(*command);
  add_bench_prefill_command(*command);
  add_bench_compare_command(*command);
}

}  // namespace nibble
