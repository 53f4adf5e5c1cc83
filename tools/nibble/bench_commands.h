// The subcommands of `nibble bench`, one file cmd_bench_<name>.cpp each, and the flags they share.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/kernel_bench.h"
#include "bench/measure.h"
#include "bench/row.h"
#include "bench/table.h"
#include "runtime/device/open_device.h"

namespace nibble {

void add_bench_kernel_command(CLI::App& bench);
void add_bench_moe_command(CLI::App& bench);
void add_bench_attention_command(CLI::App& bench);
void add_bench_decode_command(CLI::App& bench);
void add_bench_prefill_command(CLI::App& bench);
void add_bench_compare_command(CLI::App& bench);
void add_bench_peak_command(CLI::App& bench);

// Where a report goes: a table on stdout, and files.
struct ReportFlags {
  std::string json;
  std::string html;
  bool markdown = false;
};
void add_report_flags(CLI::App& command, ReportFlags& flags);
// The same without --json.
void add_page_flags(CLI::App& command, ReportFlags& flags);

// --pairs N
void add_measure_flags(CLI::App& command, bench::MeasureOptions& options);
void add_tokens_flag(CLI::App& command, std::vector<uint32_t>& tokens);
void add_variant_flag(CLI::App& command, std::vector<std::string>& variants);

// Runs kernels on a device, which `options` opened and which is opened once more for each variant. Progress goes to
// stderr.
std::vector<bench::Row> measure_kernels(Device& device, const DeviceOptions& options,
                                        const bench::KernelBenchOptions& kernels);

// The table as the flags want it.
void print_table(const bench::Table& table, const ReportFlags& flags);
// Writes the files and prints the rows.
void report(const std::vector<bench::Row>& rows, const ReportFlags& flags);

}  // namespace nibble
