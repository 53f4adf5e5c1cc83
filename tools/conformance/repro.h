// Reproducers: a failing case as a folder that needs nothing of nibble. It holds the compiled kernel, the buffers
// before the dispatch, what they should hold after it, one C++ program that runs just that dispatch and compares, and a
// text for a bug tracker.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "tools/conformance/case_runner.h"
#include "tools/conformance/report.h"

namespace nibble::conformance {

// What a reproducer is written from.
struct ReproMaterial {
  std::filesystem::path folder;
  const Row& row;  // as it ended
  const DeviceReport& device;
  const DeviceInfo& info;
  const DeviceOptions& options;
  uint32_t runs = 0;
};

// Whether rows that ended so get a reproducer.
bool wants_reproducer(Verdict verdict);

// <kernel>__<variant>/<case>, of characters that every shell and file system takes.
std::filesystem::path repro_path(const Row& row);

// Why a row can have no reproducer, known before any device is opened; none if it can.
std::optional<std::string> no_reproducer(const Row& row, BackendKind backend);

// Writes all but found_*.bin; other *.bin files in the folder are removed. Throws kUnsupported if what is expected is
// no data, kIo if the folder cannot be written.
void write_reproducer(const ReproMaterial& material, const PreparedCase& prepared);

// Adds a paragraph to the report.
void add_to_report(const std::filesystem::path& folder, const std::string& text);

// Adds what the buffers hold now.
void write_found(const std::filesystem::path& folder, Device& device, const PreparedCase& prepared);

}  // namespace nibble::conformance
