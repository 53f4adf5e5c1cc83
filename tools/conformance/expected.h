// What is known of drivers: tests/portability/expected/<driver label>.json, built into the program. Rows that a driver
// cannot run and rows that it gets wrong are kept apart, per version; whatever a file does not name must pass.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/conformance/report.h"

namespace nibble::conformance {

struct KnownFailure {
  Verdict verdict = Verdict::kFail;
  bool is_sometimes = false;  // it passes at times
  std::string why;
};

struct DriverVersion {
  std::string version;                                // DeviceReport::driver_version
  std::string build;                                  // DeviceReport::driver_build
  std::map<std::string, std::string> unsupported;     // kernel__variant -> what it needs
  std::map<std::string, KnownFailure> known_failing;  // kernel__variant/case
};

struct DriverExpectations {
  std::string driver;                   // driver_label()
  std::vector<DriverVersion> versions;  // oldest first
};

// Throws kInvalidFile naming `source`.
DriverExpectations parse_expectations(const std::string& text, const std::string& source);
std::string to_text(const DriverExpectations& expectations);

// Where expectations come from.
struct ExpectedSource {
  bool is_off = false;    // every failure is unexpected
  std::string directory;  // empty: those that were built in
};
// None if nothing is known of the driver.
std::optional<DriverExpectations> load_expectations(const ExpectedSource& source, const std::string& label);

// Marks the rows of `device` that are not as expected. `is_restricted`: capabilities were disabled or limits lowered,
// so that more is unsupported than usual.
void judge(DeviceReport& device, const std::optional<DriverExpectations>& known, bool is_restricted);

// Replaces what the file in `directory` says of this version of the driver; reasons that were written by hand stay.
void update_expectations(const DeviceReport& device, const std::string& directory);

}  // namespace nibble::conformance
