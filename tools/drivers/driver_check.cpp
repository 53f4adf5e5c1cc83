#include "tools/drivers/driver_check.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/device/backend.h"
#include "tools/drivers/child_process.h"
#include "tools/drivers/driver_files.h"
#include "tools/drivers/interrogation.h"
#include "tools/drivers/temporary_folder.h"
#include "tools/drivers/verdict.h"

namespace nibble::drivers {
namespace {

bool drivers_are_used = false;

void set_variables(const Variables& variables) {
  for (const auto& [name, value] : variables) {
    if (value) {
      ::setenv(name.c_str(), value->c_str(), 1);
    } else {
      ::unsetenv(name.c_str());
    }
  }
}

bool is_among(const std::vector<std::string>& paths, const std::filesystem::path& path) {
  return std::ranges::find(paths, path.string()) != paths.end();
}

// One process's checks.
class Checker {
 public:
  explicit Checker(const CheckOptions& options) : options_(options), cache_(options.cache_dir) {}

  std::vector<std::string> check(BackendKind api, DeviceOptions& device) {
    drivers_are_used = true;
    const auto key = std::pair(api, device.icds);
    auto known = verdicts_.find(key);
    if (known == verdicts_.end()) {
      known = verdicts_.emplace(key, find(api, device.icds)).first;
      leave_out(api, known->second);
    }
    const Verdict& verdict = known->second;
    if (!verdict.unusable.empty()) fail(ErrorCode::kDevice, "{}", verdict.unusable);
    std::erase_if(device.icds,
                  [&](const std::string& icd) { return is_among(verdict.excluded, std::filesystem::absolute(icd)); });
    return verdict.messages;
  }

 private:
  Verdict find(BackendKind api, const std::vector<std::string>& icds) const {
    if (std::optional<Verdict> kept = cache_.load(api, icds)) {
      if (kept->is_good() || !options_.asks_bad_again) return *kept;
    }
    try {
      Verdict verdict = interrogate(api, icds, options_.limit);
      cache_.store(api, icds, verdict);
      return verdict;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kIo) throw;
      warn("the drivers of {} cannot be tried in another process ({}); they are loaded untried", name_of(api),
           error.what());
      return {};
    }
  }

  // The manifests of --icd leave the options instead.
  void leave_out(BackendKind api, const Verdict& verdict) {
    for (const auto& [name, value] : verdict.switches) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<DriverFile> files = driver_files(api, {});
    const bool is_unusable = !verdict.unusable.empty();  // then children of this process need not find out again
    const size_t bad =
        std::erase_if(files, [&](const DriverFile& f) { return is_unusable || is_among(verdict.excluded, f.path); });
    if (bad == 0 && !is_unusable) return;
    folders_.push_back(std::make_unique<TemporaryFolder>());
    set_variables(only_these(api, files, folders_.back()->path()));
  }

  CheckOptions options_;
  VerdictCache cache_;
  std::map<std::pair<BackendKind, std::vector<std::string>>, Verdict> verdicts_;
  std::vector<std::unique_ptr<TemporaryFolder>>
      folders_;  // that loaders read for as long as this process may start them
};

}  // namespace

DriverCheck make_driver_check(const CheckOptions& options) {
  return [checker = std::make_shared<Checker>(options)](BackendKind api, DeviceOptions& device) {
    return checker->check(api, device);
  };
}

bool have_drivers_been_used() { return drivers_are_used; }

std::vector<std::string> defective_files(const std::vector<std::string>& icds) {
  std::vector<std::string> lines;
  for (const BackendKind api : {BackendKind::kVulkan, BackendKind::kOpenCl}) {
    for (const DriverFile& file : driver_files(api, icds)) {
      if (file.defect.empty()) continue;
      lines.push_back(fmt::format("{}: driver {} {}", name_of(api), file.describe(), file.defect));
    }
  }
  return lines;
}

int answer(BackendKind api, const std::vector<std::string>& icds) {
  follow_parent();
  std::string said = "devices";
  try {
    Backend& backend = api == BackendKind::kVulkan ? vulkan_backend() : opencl_backend();
    backend.list({.icds = icds});
  } catch (const Error&) {
    said = "error";  // an answer as well: the program will hear the same from the loader
  }
  reply_line(said);
  return 0;
}

}  // namespace nibble::drivers
