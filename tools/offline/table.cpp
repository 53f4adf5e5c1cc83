#include "tools/offline/table.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "runtime/core/kernel_table.h"

namespace nibble::offline {
namespace {

constexpr int64_t kGemvVgprs = 64;       // eight or more subgroups per SIMD on GCN's 256, sixteen on RDNA2
constexpr int64_t kGemvRegisters = 72;   // 28 subgroups per multiprocessor
constexpr int64_t kGemv4Registers = 80;  // 24 of them: a weight serves four rows of activations
constexpr int64_t kTileVgprs = 108;      // 9 subgroups per SIMD on RDNA2's 1,024
constexpr int64_t kTileWaves = 6;

int64_t figure(const Figures& figures, std::string_view name) {
  const auto found = figures.find(std::string(name));
  return found == figures.end() ? 0 : found->second;
}

std::string_view variant_of(std::string_view qualified) { return qualified.substr(qualified.rfind("__") + 2); }

bool is_for_wide_cpu(std::string_view qualified) {
  for (const KernelSpec* kernel : kernel_table()) {
    if (qualified.substr(0, qualified.rfind("__")) != kernel->name) continue;
    for (const Variant& variant : kernel->variants) {
      if (variant.name == variant_of(qualified)) return variant.for_wide_cpu;
    }
  }
  return false;
}

}  // namespace

std::string to_json(std::span<const Report> reports) {
  std::string text = "{\"targets\": {\n";
  for (const Report& report : reports) {
    text +=
        fmt::format(" {}: {{\"compiler\": {}, \"missing\": {}, \"kernels\": {{\n", nlohmann::json(report.target).dump(),
                    nlohmann::json(report.compiler).dump(), nlohmann::json(report.missing).dump());
    size_t left = report.kernels.size();
    for (const auto& [name, figures] : report.kernels) {
      text += fmt::format("  {}: {}{}\n", nlohmann::json(name).dump(), nlohmann::json(figures).dump(),
                          --left == 0 ? "" : ",");
    }
    text += &report == &reports.back() ? " }}\n" : " }},\n";
  }
  return text + "}}\n";
}

std::vector<Report> parse_reports(const std::string& text, std::string_view file) {
  std::vector<Report> reports;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    for (const auto& [target, entry] : json.at("targets").items()) {
      Report report{.target = target};
      entry.at("compiler").get_to(report.compiler);
      entry.at("missing").get_to(report.missing);
      entry.at("kernels").get_to(report.kernels);
      reports.push_back(std::move(report));
    }
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kInvalidFile, "{}: not a table of `nibble offline`: {}", file, error.what());
  }
  return reports;
}

std::vector<std::string> broken_gates(const Report& report) {
  std::vector<std::string> findings;
  const Target& target = find_target(report.target);
  for (const auto& entry : report.kernels) {
    const std::string& name = entry.first;  // clang 14 lets no lambda capture a structured binding
    const auto& figures = entry.second;
    if (is_for_wide_cpu(name)) continue;
    const auto at_most = [&](std::string_view key, int64_t allowed) {
      const int64_t found = figure(figures, key);
      if (found <= allowed) return;
      findings.push_back(fmt::format("{} on {}: {} {}, at most {} allowed", name, report.target, found, key, allowed));
    };
    at_most("spills", 0);
    const bool is_gemv = variant_of(name).starts_with("gemv");
    const bool is_tile = variant_of(name).starts_with("tile");
    if (is_gemv || is_tile) at_most("scratch", 0);
    if (is_gemv && target.vendor == Vendor::kAmd) at_most("registers", kGemvVgprs);
    if (is_gemv && target.vendor == Vendor::kNvidia) {
      at_most("registers", variant_of(name).starts_with("gemv4") ? kGemv4Registers : kGemvRegisters);
    }
    if (is_tile && target.vendor == Vendor::kAmd) at_most("registers", kTileVgprs);
    if (is_tile && target.is_rdna && figure(figures, "waves") < kTileWaves) {
      findings.push_back(fmt::format("{} on {}: {} waves per SIMD, at least {} wanted", name, report.target,
                                     figure(figures, "waves"), kTileWaves));
    }
  }
  return findings;
}

std::vector<std::string> regressions(const Report& found, const Report& table) {
  std::vector<std::string> findings;
  if (found.compiler != table.compiler) return findings;
  for (const auto& [name, before] : table.kernels) {
    const auto now = found.kernels.find(name);
    if (now == found.kernels.end()) {
      findings.push_back(fmt::format("{} on {}: in the table, but there is no such kernel", name, found.target));
      continue;
    }
    const auto worse = [&, &kernel = name](std::string_view key, int64_t was, int64_t is) {
      findings.push_back(fmt::format("{} on {}: {} {}, the table has {}", kernel, found.target, is, key, was));
    };
    if (figure(now->second, "waves") < figure(before, "waves")) {
      worse("waves", figure(before, "waves"), figure(now->second, "waves"));
    }
    for (const std::string_view key : {"instructions", "inverse"}) {
      const int64_t was = figure(before, key);
      const int64_t is = figure(now->second, key);
      if (is > was + std::max<int64_t>(16, was / 10)) worse(key, was, is);
    }
  }
  for (const auto& [name, figures] : found.kernels) {
    if (!table.kernels.contains(name)) {
      findings.push_back(fmt::format("{} on {}: missing in the table", name, found.target));
    }
  }
  return findings;
}

}  // namespace nibble::offline
