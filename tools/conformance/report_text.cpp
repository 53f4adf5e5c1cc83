// Reports to read in a terminal and to paste.
#include <algorithm>

#include <fmt/format.h>

#include "tools/conformance/probe.h"
#include "tools/conformance/report.h"

namespace nibble::conformance {
namespace {

const Probe* find_probe(std::string_view name) {
  const auto found = std::ranges::find(probes(), name, [](const Probe& probe) { return probe.spec.name; });
  return found == probes().end() ? nullptr : &*found;
}

std::string totals(const DeviceReport& device) {
  std::string text;
  for (size_t v = 0; v <= static_cast<size_t>(Verdict::kSkipped); ++v) {
    const auto verdict = static_cast<Verdict>(v);
    const size_t count = device.count(verdict);
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name_of(verdict));
  }
  return text.empty() ? "no rows" : text;
}

std::string driver_line(const DeviceReport& device) {
  const std::string api = device.api_version.empty() ? "" : fmt::format(", {}", device.api_version);
  return fmt::format("{} {}{}", device.driver, device.driver_version, api);
}

std::string describe_worst(const CaseResult& result) {
  if (!result.worst || result.wrong == 0) return "";
  const WorstElement& worst = *result.worst;
  if (worst.is_word) {
    return fmt::format("{} of {} elements wrong; worst {}[{}]: found {:#010x}, expected {:#010x}", result.wrong,
                       result.elements, worst.binding, worst.index, static_cast<uint32_t>(worst.found),
                       static_cast<uint32_t>(worst.expected));
  }
  return fmt::format("{} of {} elements wrong; worst {}[{}]: found {:g}, expected {:g} ± {:g}", result.wrong,
                     result.elements, worst.binding, worst.index, worst.found, worst.expected, worst.allowed);
}

std::string describe_row(const Row& row) {
  std::string text = fmt::format("  {} {} (seed {})\n", name_of(row.result.verdict), row.name(), row.seed);
  if (!row.result.message.empty()) text += fmt::format("    {}\n", row.result.message);
  const std::string worst = describe_worst(row.result);
  if (!worst.empty()) text += fmt::format("    {}\n", worst);
  if (!row.expectation.empty()) text += fmt::format("    expected: {}\n", row.expectation);
  if (const Probe* probe = row.is_probe() ? find_probe(row.kernel) : nullptr) {
    text += fmt::format("    the fact: {}\n    without it: {}\n", probe->fact, probe->symptom);
  }
  for (const std::string& cause : row.causes) {
    const Probe* probe = find_probe(cause);
    text += fmt::format("    likely cause: {} ({})\n", cause, probe == nullptr ? "" : probe->fact);
  }
  if (!row.smallest.empty()) text += fmt::format("    smallest that fails: {}\n", row.smallest);
  if (!row.reproducer.empty()) text += fmt::format("    reproducer: {}\n", row.reproducer);
  return text;
}

std::vector<const Row*> rows_of(const DeviceReport& device, bool unexpected) {
  std::vector<const Row*> rows;
  for (const Row& row : device.rows) {
    const bool is_known = !row.is_unexpected && row.expectation.starts_with("known");
    if (unexpected ? row.is_unexpected : is_known) rows.push_back(&row);
  }
  return rows;
}

// In a table's cell a bar would end the cell.
std::string cell(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|') safe += '\\';
    safe += c;
  }
  return safe;
}

}  // namespace

std::string to_text(const Report& report) {
  std::string text = fmt::format("nibble {} conformance, {}, seed {}, {}\n", report.nibble_version, report.mode,
                                 report.seed, report.system);
  if (!report.disabled.empty()) text += fmt::format("disabled: {}\n", fmt::join(report.disabled, ", "));
  if (!report.limits.empty()) text += fmt::format("limits: {}\n", fmt::join(report.limits, ", "));
  for (const DeviceReport& device : report.devices) {
    text += fmt::format("\n{}  {} ({})\n  {}\n  {} in {:.1f} s; {} unexpected\n", device.id, device.name, device.label,
                        driver_line(device), totals(device), device.seconds, device.unexpected());
    for (const std::string& notice : device.notices) text += fmt::format("  note: {}\n", notice);
    for (const Row* row : rows_of(device, true)) text += describe_row(*row);
    const size_t known = rows_of(device, false).size();
    if (known > 0) text += fmt::format("  {} rows fail as they are known to\n", known);
  }
  return text;
}

std::string to_markdown(const Report& report) {
  std::string text = fmt::format("nibble {} conformance, {}, seed {}, {}\n\n", report.nibble_version, report.mode,
                                 report.seed, report.system);
  text += "| device | driver | pass | failing | unsupported | unexpected |\n|---|---|---:|---:|---:|---:|\n";
  for (const DeviceReport& device : report.devices) {
    const size_t pass = device.count(Verdict::kPass);
    const size_t unsupported = device.count(Verdict::kUnsupported);
    text += fmt::format("| {} {} | {} | {} | {} | {} | {} |\n", device.id, cell(device.name), cell(driver_line(device)),
                        pass, device.rows.size() - pass - unsupported, unsupported, device.unexpected());
  }
  for (const DeviceReport& device : report.devices) {
    const std::vector<const Row*> rows = rows_of(device, true);
    if (rows.empty()) continue;
    text += fmt::format("\n### {} {}\n\n| row | verdict | what | likely cause |\n|---|---|---|---|\n", device.id,
                        device.name);
    for (const Row* row : rows) {
      const std::string worst = describe_worst(row->result);
      std::string repro = row->smallest.empty() ? "" : "; smallest that fails: " + row->smallest;
      if (!row->reproducer.empty()) repro += "; reproducer: " + row->reproducer;
      text += fmt::format("| `{}` | {} | {}{}{}{} | {} |\n", row->name(), name_of(row->result.verdict),
                          cell(row->result.message), worst.empty() ? "" : "; ", cell(worst), cell(repro),
                          fmt::join(row->causes, ", "));
    }
  }
  return text;
}

}  // namespace nibble::conformance
