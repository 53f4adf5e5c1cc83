// What a run found: rows (kernel × variant × case) per device, as plain data. The same JSON carries them from a child
// process to its parent and into --json files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/core/device_info.h"
#include "tools/conformance/verdict.h"

namespace nibble::conformance {

// A case that stands for all cases of a variant that the device does not support.
inline constexpr std::string_view kAllCases = "*";
inline constexpr std::string_view kProbePrefix = "probe_";

struct Row {
  std::string kernel;   // "gemm_fp8_f32"; probes are named "probe_…"
  std::string variant;  // "portable"
  std::string case_name;
  uint32_t case_index = 0;      // in the kernel's list
  uint64_t seed = 0;            // of the case's inputs
  std::vector<uint32_t> sizes;  // made at these of KernelCase::sizes instead of its own; empty = as it is
  CaseResult result;

  // Set by judge() in expected.h.
  bool is_unexpected = false;
  std::string expectation;  // what was expected instead, or why a failure is known

  std::vector<std::string> causes;  // failing probes that the kernel relies on
  std::string smallest;             // the smallest sizes at which it fails, "rows=1,cols=32"; empty if not looked for
  std::string reproducer;           // the folder of its reproducer, or why there is none; empty if none was asked for

  bool is_probe() const { return kernel.starts_with(kProbePrefix); }
  std::string variant_name() const { return kernel + "__" + variant; }
  std::string name() const { return variant_name() + "/" + case_name; }
};

struct DeviceReport {
  std::string label;  // driver_label()
  std::string id;
  std::string name;
  std::string type;
  std::string driver;
  std::string driver_version;
  std::string driver_build;  // tells builds of one version apart; empty if the API has none
  std::string api_version;
  std::vector<std::string> capabilities;
  std::vector<std::string> notices;  // about the run as a whole
  std::vector<Row> rows;
  double seconds = 0;

  size_t count(Verdict verdict) const;
  size_t unexpected() const;
};

struct Report {
  std::string nibble_version;
  std::string system;  // operating system and its version
  std::string mode;    // "quick" or "full"
  uint64_t seed = 0;
  std::vector<std::string> disabled;
  std::vector<std::string> limits;
  std::vector<DeviceReport> devices;

  size_t unexpected() const;
};

// All but the build and the rows.
DeviceReport describe(const DeviceInfo& info);
// "Linux 6.1.0 x86_64, Debian GNU/Linux 12 (bookworm)"
std::string describe_system();

nlohmann::ordered_json to_json(const CaseResult& result);
nlohmann::ordered_json to_json(const Row& row);
nlohmann::ordered_json to_json(const DeviceReport& device);
nlohmann::ordered_json to_json(const Report& report);
CaseResult parse_result(const nlohmann::ordered_json& json);
Row parse_row(const nlohmann::ordered_json& json);
DeviceReport parse_device(const nlohmann::ordered_json& json);

// Names come from drivers and need not be UTF-8.
std::string dump(const nlohmann::ordered_json& json, int indent = -1);

// Links rows that fail to the probes that fail beside them.
void link_causes(DeviceReport& device);

// Human-readable forms; `to_html` gives one self-contained page.
std::string to_text(const Report& report);
std::string to_markdown(const Report& report);
std::string to_html(const Report& report);

}  // namespace nibble::conformance
