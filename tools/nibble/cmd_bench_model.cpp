// nibble bench decode and prefill: whole steps of a model, and where their time goes.
#include <memory>

#include <fmt/format.h>

#include "bench/html.h"
#include "bench/model_bench.h"
#include "bench/report.h"
#include "runtime/base/error.h"
#include "runtime/base/output_file.h"
#include "tools/nibble/bench_commands.h"
#include "tools/nibble/loading.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  ModelFlags model;
  DeviceFlags device;
  SessionFlags session;
  ReportFlags report;
  bench::ModelBenchOptions options;
};

bench::Table summary_of(const std::vector<bench::ModelBenchResult>& results, bool decode) {
  bench::Table table{.columns = {{decode ? "context" : "tokens"},
                                 {"tokens/s"},
                                 {"ms"},
                                 {"±"},
                                 {decode ? "dispatches/token" : "dispatches"},
                                 {"MB"},
                                 {"share", false},
                                 {"matrices ms"},
                                 {"share of matrices", false}}};
  if (decode) table.columns.insert(table.columns.begin() + 5, {"ideal MB"});
  for (const bench::ModelBenchResult& result : results) {
    const bench::Row& row = result.row;
    const auto megabytes = [](uint64_t bytes) { return bench::three_digits(static_cast<double>(bytes) / 1e6); };
    std::vector<std::string> cells = {
        decode ? row.shape.substr(row.shape.find('=') + 1) : fmt::format("{}", row.tokens),
        bench::three_digits(result.tokens_per_second), bench::three_digits(row.seconds.median * 1e3),
        fmt::format("{:.0f} %", row.seconds.spread() * 100), fmt::format("{}", result.dispatches)};
    if (decode) cells.push_back(megabytes(result.ideal_bytes));
    cells.push_back(megabytes(result.counted_bytes));
    cells.push_back(bench::share_text(row));
    cells.push_back(bench::three_digits(result.matrices.seconds.median * 1e3));
    cells.push_back(bench::share_text(result.matrices));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string title_of(const bench::ModelBenchResult& result) {
  const bench::Row& row = result.row;
  return row.kernel == "decode" ? fmt::format("decode, {}", row.shape)
                                : fmt::format("prefill of {} tokens, {}", row.tokens, row.shape);
}

void report_results(const std::vector<bench::ModelBenchResult>& results, const ReportFlags& flags, bool decode,
                    const std::string& model) {
  std::vector<bench::Row> rows;
  const bench::Table summary = summary_of(results, decode);
  std::vector<bench::HtmlSection> sections = {{"Steps", to_html(summary)}};
  print_table(summary, flags);
  for (const bench::ModelBenchResult& result : results) {
    const bench::Table table = bench::table_of(bench::shares_of(result.steps));
    write_stdout(fmt::format("\n{}, by kernel:\n", title_of(result)));
    print_table(table, flags);
    rows.push_back(result.row);
    rows.push_back(result.matrices);
    sections.push_back({title_of(result), bench::flame_svg(bench::tree_of(result.steps), "step") + to_html(table)});
  }
  if (!flags.json.empty()) bench::write_rows(flags.json, rows);
  if (!flags.html.empty()) {
    const std::string& device = rows.front().device;
    bench::write_text(flags.html, bench::html_page(fmt::format("{} on {}", model, device), sections));
  }
}

void run(const Flags& flags, bool decode) {
  for (const std::string& path : {flags.report.json, flags.report.html}) {
    if (!path.empty()) require_output(path, {flags.model.directory});
  }
  const LoadedModel loaded = load_model(flags.model, flags.device);
  bench::ModelBenchOptions options = flags.options;
  const uint32_t longest = *std::max_element(options.lengths.begin(), options.lengths.end());
  const uint32_t steps = decode ? bench::decode_steps(options.measure) : 0;
  options.session = session_options(flags.session, loaded.config(), longest + steps);
  bench::Ceilings ceilings(*loaded.device, flags.device.options.threads);
  ProgressBar bar("measuring");
  uint64_t done = 0;
  const auto on_result = [&](const bench::ModelBenchResult&) { bar.update(++done, options.lengths.size()); };
  const auto results = decode ? run_decode_bench(loaded.model, *loaded.checkpoint, ceilings, options, on_result)
                              : run_prefill_bench(loaded.model, ceilings, options, on_result);
  report_results(results, flags.report, decode, flags.model.directory.string());
}

void add_command(CLI::App& bench, bool decode) {
  CLI::App* command = decode
                          ? bench.add_subcommand("decode", "Tokens per second of a model, one token a step, by context")
                          : bench.add_subcommand("prefill", "Tokens per second of a model reading prompts");
  auto flags = std::make_shared<Flags>();
  add_model_flags(*command, flags->model);
  command
      ->add_option(decode ? "--context" : "--tokens", flags->options.lengths,
                   decode ? "Tokens before the measured steps" : "Tokens of the prompt")
      ->type_name("N[,N]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(decode ? 0u : 1u, 1u << 20))
      ->default_str(fmt::format("{}", fmt::join(flags->options.lengths, ",")));
  add_measure_flags(*command, flags->options.measure);
  add_report_flags(*command, flags->report);
  add_session_flags(*command, flags->session);
  add_device_flags(*command, flags->device);
  command->footer(fmt::format(
      "Tokens are random. {}\n"
      "Matrices: the linears and experts alone. Kernels: steps whose dispatches are timed one by one, in turn with "
      "the\n"
      "others; --html draws them as nested bars.\n"
      "Example:\n"
      "  nibble bench {} -m DIR -d cpu --html steps.html",
      decode ? "ideal MB: the weights and the KV cache that a token must read; the share is of reading just those."
             : "The share is of the ceiling that binds: reading, or multiply-adds.",
      decode ? "decode" : "prefill"));
  command->callback([flags, decode] { run(*flags, decode); });
}

}  // namespace

void add_bench_decode_command(CLI::App& bench) { add_command(bench, true); }
void add_bench_prefill_command(CLI::App& bench) { add_command(bench, false); }

}  // namespace nibble
