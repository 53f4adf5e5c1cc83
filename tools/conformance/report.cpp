#include "tools/conformance/report.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include "runtime/base/shell_pattern.h"
#include "tools/conformance/driver_label.h"
#include "tools/conformance/probe.h"

namespace nibble::conformance {
namespace {

// JSON has no infinities and no NaN: those travel as words.
nlohmann::ordered_json number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  return value;
}

double parse_number(const nlohmann::ordered_json& json) {
  if (json.is_string()) return std::strtod(json.get_ref<const std::string&>().c_str(), nullptr);
  return json.get<double>();
}

std::string distribution() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("PRETTY_NAME=\"") && line.ends_with('"')) return line.substr(13, line.size() - 14);
  }
  return "";
}

std::vector<std::string> capability_names(const CapabilitySet& set) {
  std::vector<std::string> names;
  for (size_t i = 0; i < static_cast<size_t>(Capability::kCount); ++i) {
    if (set.has(static_cast<Capability>(i))) names.emplace_back(name_of(static_cast<Capability>(i)));
  }
  return names;
}

bool is_failure(Verdict verdict) {
  return verdict != Verdict::kPass && verdict != Verdict::kUnsupported && verdict != Verdict::kSkipped;
}

}  // namespace

size_t DeviceReport::count(Verdict verdict) const {
  return static_cast<size_t>(std::ranges::count(rows, verdict, [](const Row& row) { return row.result.verdict; }));
}

size_t DeviceReport::unexpected() const {
  return static_cast<size_t>(std::ranges::count(rows, true, &Row::is_unexpected));
}

size_t Report::unexpected() const {
  size_t sum = 0;
  for (const DeviceReport& device : devices) sum += device.unexpected();
  return sum;
}

DeviceReport describe(const DeviceInfo& info) {
  return {.label = driver_label(info),
          .id = info.id,
          .name = info.name,
          .type = std::string(name_of(info.type)),
          .driver = info.driver,
          .driver_version = info.driver_version,
          .api_version = info.api_version,
          .capabilities = capability_names(info.capabilities)};
}

std::string describe_system() {
  utsname name{};
  ::uname(&name);
  const std::string release = distribution();
  return fmt::format("{} {} {}{}{}", name.sysname, name.release, name.machine, release.empty() ? "" : ", ", release);
}

nlohmann::ordered_json to_json(const CaseResult& result) {
  nlohmann::ordered_json json = {
      {"verdict", name_of(result.verdict)}, {"message", result.message}, {"seconds", result.seconds},
      {"elements", result.elements},        {"wrong", result.wrong},     {"worst", nullptr}};
  if (!result.worst) return json;
  const WorstElement& worst = *result.worst;
  json["worst"] = {{"binding", worst.binding},         {"index", worst.index},
                   {"found", number(worst.found)},     {"expected", number(worst.expected)},
                   {"allowed", number(worst.allowed)}, {"share", number(worst.share())},
                   {"is_word", worst.is_word}};
  return json;
}

CaseResult parse_result(const nlohmann::ordered_json& json) {
  CaseResult result{.verdict = verdict_from_name(json.at("verdict").get<std::string>()),
                    .message = json.at("message"),
                    .wrong = json.at("wrong"),
                    .elements = json.at("elements"),
                    .seconds = json.at("seconds")};
  const auto& worst = json.at("worst");
  if (worst.is_null()) return result;
  result.worst = WorstElement{.binding = worst.at("binding"),
                              .index = worst.at("index"),
                              .found = parse_number(worst.at("found")),
                              .expected = parse_number(worst.at("expected")),
                              .allowed = parse_number(worst.at("allowed")),
                              .is_word = worst.at("is_word")};
  return result;
}

nlohmann::ordered_json to_json(const Row& row) {
  nlohmann::ordered_json json = {{"kernel", row.kernel},
                                 {"variant", row.variant},
                                 {"case", row.case_name},
                                 {"index", row.case_index},
                                 {"seed", row.seed}};
  if (!row.sizes.empty()) json["sizes"] = row.sizes;
  json.update(to_json(row.result));
  json["unexpected"] = row.is_unexpected;
  json["expectation"] = row.expectation;
  json["causes"] = row.causes;
  if (!row.smallest.empty()) json["smallest"] = row.smallest;
  json["reproducer"] = row.reproducer;
  return json;
}

Row parse_row(const nlohmann::ordered_json& json) {
  return {.kernel = json.at("kernel"),
          .variant = json.at("variant"),
          .case_name = json.at("case"),
          .case_index = json.at("index"),
          .seed = json.at("seed"),
          .sizes = json.value("sizes", std::vector<uint32_t>{}),
          .result = parse_result(json),
          .smallest = json.value("smallest", "")};
}

nlohmann::ordered_json to_json(const DeviceReport& device) {
  nlohmann::ordered_json totals;
  for (size_t v = 0; v <= static_cast<size_t>(Verdict::kSkipped); ++v) {
    const auto verdict = static_cast<Verdict>(v);
    totals[std::string(name_of(verdict))] = device.count(verdict);
  }
  totals["unexpected"] = device.unexpected();
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Row& row : device.rows) rows.push_back(to_json(row));
  return {{"label", device.label},
          {"id", device.id},
          {"name", device.name},
          {"type", device.type},
          {"driver", device.driver},
          {"driver_version", device.driver_version},
          {"driver_build", device.driver_build},
          {"api_version", device.api_version},
          {"capabilities", device.capabilities},
          {"notices", device.notices},
          {"seconds", device.seconds},
          {"totals", totals},
          {"rows", rows}};
}

DeviceReport parse_device(const nlohmann::ordered_json& json) {
  DeviceReport device{.label = json.at("label"),
                      .id = json.at("id"),
                      .name = json.at("name"),
                      .type = json.at("type"),
                      .driver = json.at("driver"),
                      .driver_version = json.at("driver_version"),
                      .driver_build = json.at("driver_build"),
                      .api_version = json.at("api_version"),
                      .capabilities = json.at("capabilities"),
                      .notices = json.at("notices")};
  for (const auto& row : json.at("rows")) device.rows.push_back(parse_row(row));
  return device;
}

nlohmann::ordered_json to_json(const Report& report) {
  nlohmann::ordered_json devices = nlohmann::ordered_json::array();
  for (const DeviceReport& device : report.devices) devices.push_back(to_json(device));
  return {{"nibble", report.nibble_version},
          {"system", report.system},
          {"mode", report.mode},
          {"seed", report.seed},
          {"disabled", report.disabled},
          {"limits", report.limits},
          {"unexpected", report.unexpected()},
          {"devices", devices}};
}

std::string dump(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void link_causes(DeviceReport& device) {
  std::vector<const Probe*> broken;
  for (const Probe& probe : probes()) {
    const auto fails = [&](const Row& row) { return row.kernel == probe.spec.name && is_failure(row.result.verdict); };
    if (std::ranges::any_of(device.rows, fails)) broken.push_back(&probe);
  }
  for (Row& row : device.rows) {
    if (row.is_probe() || !is_failure(row.result.verdict)) continue;
    for (const Probe* probe : broken) {
      const auto fits = [&](std::string_view pattern) { return matches_pattern(row.variant_name(), pattern); };
      if (std::ranges::any_of(probe->relied_on_by, fits)) row.causes.emplace_back(probe->spec.name);
    }
  }
}

}  // namespace nibble::conformance
