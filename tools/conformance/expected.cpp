#include "tools/conformance/expected.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "tools/conformance/texts.h"
#include "tools/offline/process.h"

namespace nibble::conformance {
namespace {

using Json = nlohmann::ordered_json;

DriverVersion parse_version(const Json& json) {
  DriverVersion version{.version = json.at("version"), .build = json.at("build")};
  for (const auto& [name, needs] : json.at("unsupported").items()) version.unsupported[name] = needs;
  for (const auto& [name, failure] : json.at("known_failing").items()) {
    version.known_failing[name] = {.verdict = verdict_from_name(failure.at("verdict").get<std::string>()),
                                   .is_sometimes = failure.value("sometimes", false),
                                   .why = failure.at("why")};
  }
  return version;
}

Json to_json(const DriverVersion& version) {
  Json unsupported = Json::object();
  for (const auto& [name, needs] : version.unsupported) unsupported[name] = needs;
  Json failing = Json::object();
  for (const auto& [name, failure] : version.known_failing) {
    failing[name] = {{"verdict", name_of(failure.verdict)}, {"why", failure.why}};
    if (failure.is_sometimes) failing[name]["sometimes"] = true;
  }
  return {
      {"version", version.version}, {"build", version.build}, {"unsupported", unsupported}, {"known_failing", failing}};
}

// The entry for a driver: this very build, else another build of this version, else the newest.
struct ChosenVersion {
  const DriverVersion* version = nullptr;
  bool is_exact = false;
};

ChosenVersion choose_version(const DriverExpectations& known, const DeviceReport& device) {
  ChosenVersion chosen{.version = &known.versions.back()};
  for (const DriverVersion& version : known.versions) {
    if (version.version != device.driver_version) continue;
    chosen.version = &version;
    if (version.build == device.driver_build) return {&version, true};
  }
  return chosen;
}

void expect(Row& row, bool as_expected, std::string expectation) {
  row.is_unexpected = !as_expected;
  row.expectation = std::move(expectation);
}

void judge_unsupported(Row& row, const DriverVersion& version, bool is_exact) {
  const bool known = version.unsupported.contains(row.variant_name());
  if (!known && is_exact) expect(row, false, "this version of the driver supported it before");
}

void judge_row(Row& row, const ChosenVersion& chosen) {
  const DriverVersion& version = *chosen.version;
  const auto known = version.known_failing.find(row.name());
  const Verdict verdict = row.result.verdict;
  if (known == version.known_failing.end()) {
    expect(row, verdict == Verdict::kPass, verdict == Verdict::kPass ? "" : "pass");
    const bool was_unsupported = chosen.is_exact && version.unsupported.contains(row.variant_name());
    if (was_unsupported)
      expect(row, false,
             "unsupported by this version of the driver: needs " + version.unsupported.at(row.variant_name()));
    return;
  }
  const KnownFailure& failure = known->second;
  const bool passes_at_times = verdict == Verdict::kPass && failure.is_sometimes;
  const bool as_expected = verdict == failure.verdict || passes_at_times;
  expect(row, as_expected,
         as_expected ? "known: " + failure.why : fmt::format("{} ({})", name_of(failure.verdict), failure.why));
}

}  // namespace

DriverExpectations parse_expectations(const std::string& text, const std::string& source) {
  try {
    const Json json = Json::parse(text);
    DriverExpectations expectations{.driver = json.at("driver")};
    for (const auto& version : json.at("versions")) expectations.versions.push_back(parse_version(version));
    if (expectations.versions.empty()) fail(ErrorCode::kInvalidFile, "{}: 'versions' is empty", source);
    return expectations;
  } catch (const Json::exception& error) {
    fail(ErrorCode::kInvalidFile, "{}: {}", source, error.what());
  }
}

std::string to_text(const DriverExpectations& expectations) {
  Json versions = Json::array();
  for (const DriverVersion& version : expectations.versions) versions.push_back(to_json(version));
  return dump(Json{{"driver", expectations.driver}, {"versions", versions}}, 1) + "\n";
}

std::optional<DriverExpectations> load_expectations(const ExpectedSource& source, const std::string& label) {
  if (source.is_off) return std::nullopt;
  const std::string name = fmt::format("{}.json", label);
  if (source.directory.empty()) {
    for (const EmbeddedText& embedded : expected_texts()) {
      if (embedded.name == name) return parse_expectations(std::string(embedded.text), name);
    }
    return std::nullopt;
  }
  const std::string path = fmt::format("{}/{}.json", source.directory, label);
  if (!std::filesystem::exists(path)) return std::nullopt;
  return parse_expectations(offline::read_file(path), path);
}

void judge(DeviceReport& device, const std::optional<DriverExpectations>& known, bool is_restricted) {
  static const DriverVersion kNothing;
  ChosenVersion chosen{.version = &kNothing};
  if (known) {
    chosen = choose_version(*known, device);
    if (!chosen.is_exact) {
      device.notices.push_back(fmt::format("nothing is known of '{}' {}; judged by '{}' {}", device.driver_version,
                                           device.driver_build, chosen.version->version, chosen.version->build));
    }
  }
  for (Row& row : device.rows) {
    if (row.result.verdict == Verdict::kSkipped) continue;  // the row that took it along is judged
    if (row.result.verdict == Verdict::kUnsupported) {
      judge_unsupported(row, *chosen.version, chosen.is_exact && !is_restricted);
    } else {
      judge_row(row, chosen);
    }
  }
}

void update_expectations(const DeviceReport& device, const std::string& directory) {
  DriverExpectations all =
      load_expectations({.directory = directory}, device.label).value_or(DriverExpectations{.driver = device.label});
  const auto is_this = [&](const DriverVersion& version) {
    return version.version == device.driver_version && version.build == device.driver_build;
  };
  DriverVersion before;
  const auto known = std::ranges::find_if(all.versions, is_this);
  if (known != all.versions.end()) before = *known;
  std::erase_if(all.versions, is_this);
  DriverVersion now{.version = device.driver_version, .build = device.driver_build};
  for (const Row& row : device.rows) {
    const Verdict verdict = row.result.verdict;
    if (verdict == Verdict::kUnsupported) now.unsupported[row.variant_name()] = row.result.message;
    if (verdict == Verdict::kPass || verdict == Verdict::kUnsupported || verdict == Verdict::kSkipped) continue;
    const auto old = before.known_failing.find(row.name());
    now.known_failing[row.name()] = {.verdict = verdict,
                                     .why = old == before.known_failing.end() ? row.result.message : old->second.why};
  }
  all.versions.push_back(std::move(now));
  std::filesystem::create_directories(directory);
  offline::write_file(fmt::format("{}/{}.json", directory, device.label), to_text(all));
}

}  // namespace nibble::conformance
