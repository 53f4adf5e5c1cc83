// nibble bench attention: a decode step through one attention layer of each kind, by context and kernel.
#include <algorithm>
#include <array>
#include <memory>

#include <fmt/format.h>

#include "bench/attention_bench.h"
#include "bench/html.h"
#include "bench/loglog_plot.h"
#include "bench/report.h"
#include "host/synthetic/released_shapes.h"
#include "runtime/base/error.h"
#include "runtime/base/output_file.h"
#include "tools/nibble/bench_commands.h"
#include "tools/nibble/loading.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

// As many as the legend has room for.
constexpr size_t kDrawnKernels = 14;

struct Flags {
  DeviceFlags device;
  ReportFlags report;
  bench::AttentionBenchOptions options;
  std::vector<std::string> contexts = {"1k", "16k", "128k", "1M"};
  std::string numerics = "reference";
  std::string svg;
};

// "16k" is 16,384.
uint32_t context_from(const std::string& text) {
  uint64_t value = 0;
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9' && value <= UINT32_MAX) {
    value = value * 10 + static_cast<uint64_t>(text[digits++] - '0');
  }
  const std::string unit = text.substr(digits);
  if (unit == "k") value <<= 10;
  if (unit == "M") value <<= 20;
  if (digits == 0 || (!unit.empty() && unit != "k" && unit != "M") || value == 0 || value > UINT32_MAX) {
    fail(ErrorCode::kUsage, "--contexts: '{}' is no number of tokens; examples: 4096, 16k, 1M", text);
  }
  return static_cast<uint32_t>(value);
}

std::string context_text(uint32_t context) {
  if (context % (1u << 20) == 0) return fmt::format("{}M", context >> 20);
  return context % (1u << 10) == 0 ? fmt::format("{}k", context >> 10) : fmt::format("{}", context);
}

// Rows in the order of the longest context; one column per context.
bench::Table times_table(const std::vector<bench::AttentionBenchResult>& results) {
  bench::Table table{.columns = {{"ms of a step", false}}};
  for (const auto& result : results) table.columns.push_back({context_text(result.context)});
  table.columns.push_back({fmt::format("share at {}", context_text(results.back().context)), false});
  table.columns.push_back({"variant", false});
  for (const bench::Row& row : results.back().rows) {
    table.rows.push_back({row.kernel});
    for (const auto& result : results) {
      const auto same = std::find_if(result.rows.begin(), result.rows.end(),
                                     [&](const bench::Row& other) { return other.kernel == row.kernel; });
      table.rows.back().push_back(same == result.rows.end() ? "" : bench::three_digits(same->seconds.median * 1e3));
    }
    table.rows.back().push_back(share_text(row));
    table.rows.back().push_back(row.variant);
  }
  table.rows.push_back({"whole step"});
  for (const auto& result : results) {
    table.rows.back().push_back(bench::three_digits(result.step.seconds.median * 1e3));
  }
  table.rows.back().push_back(share_text(results.back().step));
  table.rows.back().emplace_back("");
  return table;
}

// What a context can make slower; the drawing is there to show these.
bool reads_the_cache(const bench::Row& row) {
  constexpr std::array kParts = {"attention_", "indexer_scores_", " topk_"};
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](const char* part) { return row.kernel.find(part) != std::string::npos; });
}

std::string plot_of(const std::vector<bench::AttentionBenchResult>& results) {
  const std::string& device = results.front().step.device;
  bench::LogLogPlot plot{.title = fmt::format("Attention of one layer of each kind, a decode step on {}", device),
                         .x_name = "tokens of context",
                         .y_name = "milliseconds"};
  const auto add = [&](const std::string& name, auto&& seconds_in) {
    bench::LogLine line{.name = name};
    for (const auto& result : results) line.points.emplace_back(result.context, 1e3 * seconds_in(result));
    plot.lines.push_back(std::move(line));
  };
  add("whole step", [](const auto& result) { return result.step.seconds.median; });
  // In a short context, which kernels take the longest is a matter of chance.
  std::vector<bench::Row> drawn = results.back().rows;
  std::stable_partition(drawn.begin(), drawn.end(), reads_the_cache);
  drawn.resize(std::min(drawn.size(), kDrawnKernels));
  for (const bench::Row& row : drawn) {
    add(row.kernel, [&](const bench::AttentionBenchResult& result) {
      for (const bench::Row& other : result.rows) {
        if (other.kernel == row.kernel) return other.seconds.median;
      }
      return 0.0;
    });
  }
  return to_svg(plot);
}

void print_checks(const bench::AttentionBenchResult& result) {
  std::string text =
      fmt::format("{} tokens: cache {}, scratch {}; checked against f64, largest error of what is allowed:",
                  context_text(result.context), format_bytes(result.kv_bytes), format_bytes(result.scratch_bytes));
  for (const bench::CheckedDispatch& checked : result.checked) {
    text += fmt::format(" {} {:.1f} %;", checked.label, 100 * checked.worst);
  }
  text.back() = '\n';
  write_stdout(text);
}

void run_decode(bench::AttentionBench& attention, Device& device, const Flags& flags,
                const std::vector<uint32_t>& contexts) {
  bench::Ceilings ceilings(device, flags.device.options.threads);
  std::vector<bench::AttentionBenchResult> results;
  std::vector<bench::Row> rows;
  for (const uint32_t context : contexts) {
    results.push_back(attention.decode(context, ceilings));
    print_checks(results.back());
    rows.push_back(results.back().step);
    rows.insert(rows.end(), results.back().rows.begin(), results.back().rows.end());
  }
  const std::string svg = plot_of(results);
  if (!flags.svg.empty()) bench::write_text(flags.svg, svg);
  if (!flags.report.json.empty()) bench::write_rows(flags.report.json, rows);
  if (!flags.report.html.empty()) {
    bench::write_text(flags.report.html,
                      bench::html_page("Attention by context", {{"Time of a step", svg},
                                                                {"By kernel", to_html(times_table(results))},
                                                                {"All rows", to_html(bench::table_of(rows))}}));
  }
  write_stdout("\n");
  print_table(times_table(results), flags.report);
}

void run_prefill(bench::AttentionBench& attention, const Flags& flags) {
  ProgressBar bar("prefill");
  const bench::PrefillResult result = attention.prefill(
      [&](const bench::PrefillProgress& progress) { bar.update(progress.tokens, flags.options.prefill); });
  bench::Table table{.columns = {{"tokens"}, {"seconds"}, {"tokens/s"}}};
  for (const bench::PrefillProgress& progress : result.progress) {
    table.rows.push_back({fmt::format("{}", progress.tokens), bench::three_digits(progress.seconds),
                          bench::three_digits(progress.per_second)});
  }
  print_table(table, flags.report);
  write_stdout(fmt::format("on the device: weights {}, cache {}, scratch {}; the process at its peak: {}\n",
                           format_bytes(result.weight_bytes), format_bytes(result.kv_bytes),
                           format_bytes(result.scratch_bytes), format_bytes(result.peak_resident)));
}

void run(const Flags& flags) {
  bench::AttentionBenchOptions options = flags.options;
  options.numerics = numerics_from_name(flags.numerics);
  std::vector<uint32_t> contexts;
  for (const std::string& text : flags.contexts) contexts.push_back(context_from(text));
  std::sort(contexts.begin(), contexts.end());
  const std::unique_ptr<Device> device = open_device(flags.device.name, device_options(flags.device));
  bench::AttentionBench attention(*device, options);
  options.prefill == 0 ? run_decode(attention, *device, flags, contexts) : run_prefill(attention, flags);
}

}  // namespace

void add_bench_attention_command(CLI::App& bench) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = bench.add_subcommand(
      "attention", "A decode step through one attention layer of each kind, by context and kernel");
  command
      ->add_option("--contexts", flags->contexts,
                   "Tokens that the step sees, its own included; k and M are 2^10 and 2^20")
      ->type_name("N[k|M],...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  command
      ->add_option("--prefill", flags->options.prefill,
                   "Feed N tokens in chunks instead: tokens per second along the way, and the memory that took")
      ->type_name("N")
      ->check(CLI::Range(1u, 1u << 20));
  command->add_option("--chunk", flags->options.chunk, "Tokens per step of --prefill")
      ->type_name("N")
      ->check(CLI::Range(1u, 65536u))
      ->capture_default_str();
  command
      ->add_option("--shape", flags->options.shape,
                   "Released model: " + fmt::format("{}", fmt::join(released_shapes(), ", ")))
      ->check(CLI::IsMember(released_shapes()))
      ->capture_default_str();
  command->add_option("--numerics", flags->numerics, "reference or fast; plain keeps no packed cache")
      ->type_name("MODE")
      ->check(CLI::IsMember({"reference", "fast"}))
      ->capture_default_str();
  command->add_option("--svg", flags->svg, "Also draw the times over the contexts, on logarithmic axes")
      ->type_name("FILE")
      ->each([](const std::string& path) { require_output(path); })
      ->group("Report");
  add_measure_flags(*command, flags->options.measure);
  add_report_flags(*command, flags->report);
  add_device_flags(*command, flags->device);
  command->footer(
      "Weights, input and the cache's content are random. Before it is timed, one step of each context is checked "
      "against\n"
      "double precision: indexer scores (4,096 of them), their selection, and attention.\n"
      "Example:\n"
      "  nibble bench attention --contexts 1k,16k,128k,1M -d cpu --svg attention.svg");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
