// nibble bench compare: what changed between two runs.
#include <memory>

#include <fmt/format.h>

#include "bench/compare.h"
#include "bench/html.h"
#include "runtime/base/error.h"
#include "runtime/base/output_file.h"
#include "tools/nibble/bench_commands.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  std::string a;
  std::string b;
  ReportFlags report;
};

std::string list_html(const std::vector<std::string>& lines) {
  std::string html;
  for (const std::string& line : lines) html += "<li>" + bench::html_escaped(line) + "</li>\n";
  return html.empty() ? "" : "<ul>\n" + html + "</ul>\n";
}

void run(const Flags& flags) {
  if (!flags.report.html.empty()) require_output(flags.report.html, {flags.a, flags.b});
  const std::vector<bench::Row> a = bench::read_rows(flags.a);
  const std::vector<bench::Row> b = bench::read_rows(flags.b);
  const bench::Comparison comparison = compare_rows(a, b);
  const bench::Table table = table_of(comparison);
  const std::vector<std::string> unmatched = unmatched_lines(comparison, flags.a, flags.b);
  if (!flags.report.html.empty()) {
    bench::write_text(flags.report.html, bench::html_page(fmt::format("{} and {}", flags.a, flags.b),
                                                          {{"A to B", to_html(table)},
                                                           {"In one file only", list_html(unmatched)},
                                                           {"A: " + flags.a, bench::roofline_svg(a)},
                                                           {"B: " + flags.b, bench::roofline_svg(b)}}));
  }
  print_table(table, flags.report);
  for (const std::string& line : unmatched) write_stdout(line + "\n");
}

}  // namespace

void add_bench_compare_command(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("compare", "Two files of --json side by side, row by row");
  auto flags = std::make_shared<Flags>();
  command->add_option("A.json", flags->a, "The run before")->required()->type_name("");
  command->add_option("B.json", flags->b, "The run after")->required()->type_name("");
  add_page_flags(*command, flags->report);
  command->footer(
      "B/A: ratio of the median times, below 1 is faster; ±: its noise. By share: ratio of the shares of ceilings "
      "that\n"
      "were sampled beside each kernel, so that a machine that became slower meanwhile does not count; above 1 is "
      "better.\n"
      "Example:\n"
      "  nibble bench compare before.json after.json --html change.html");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
