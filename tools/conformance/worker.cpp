// The child's side: the only process that touches drivers.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "runtime/vulkan/driver_build.h"
#include "tools/conformance/job.h"
#include "tools/conformance/probe.h"
#include "tools/conformance/repro.h"
#include "tools/drivers/child_process.h"

namespace nibble::conformance {
namespace {

void reply(const nlohmann::ordered_json& json) { reply_line(dump(json)); }

BackendKind backend_of(const std::string& id) {
  if (id.starts_with("vulkan")) return BackendKind::kVulkan;
  return id.starts_with("opencl") ? BackendKind::kOpenCl : BackendKind::kCpu;
}

std::vector<DeviceInfo> chosen_devices(const Job& job) {
  std::vector<DeviceInfo> chosen;
  if (job.devices.empty()) {
    const std::vector<FoundDevice> found = list_devices(job.device_options);
    for (const FoundDevice& device : found) {
      if (device.info.type != DeviceType::kNull) chosen.push_back(device.info);
    }
  }
  for (const std::string& name : job.devices) {
    const std::vector<FoundDevice> found = list_devices(job.device_options, nullptr, name);
    chosen.push_back(found[select_device(name, found)].info);
    require_possible(job.device_options.disabled, chosen.back().backend);
  }
  return chosen;
}

void list(const Job& job) {
  for (const DeviceInfo& info : chosen_devices(job)) {
    DeviceReport device = describe(info);
    device.driver_build = vulkan::driver_build(info.id, job.device_options);
    device.rows = plan_rows(info, job.plan);
    reply({{"device", to_json(device)}});
  }
}

CaseResult failure(const Error& error) {
  const bool lacks = error.code() == ErrorCode::kUnsupported;
  return {.verdict = lacks ? Verdict::kUnsupported : Verdict::kError, .message = error.what()};
}

CaseResult run_program(const Probe& probe, Device& device) {
  const auto begin = std::chrono::steady_clock::now();
  const std::optional<std::string> problem = probe.run(device, probe.spec);
  CaseResult result;
  if (problem) result = {.verdict = Verdict::kFail, .message = *problem};
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

CaseResult run_row(CaseRunner& runner, const Row& row, bool full) {
  const Probe* probe = find_probe(row.kernel);
  if (probe != nullptr && probe->run != nullptr) return run_program(*probe, runner.device_for(row.variant));
  const KernelSpec& kernel = find_kernel_or_probe(row.kernel);
  return runner.run(kernel, row.variant, case_of(kernel, row), case_options(row, full));
}

// A quick run leaves out what remains of a variant whose cases took longer: a slow driver spends its minute on all
// variants rather than on a few.
class QuickBudget {
 public:
  explicit QuickBudget(bool is_full) : is_full_(is_full) {}
  std::optional<CaseResult> refuse(const Row& row) const {
    const auto spent = seconds_.find(row.variant_name());
    if (is_full_ || spent == seconds_.end() || spent->second < kSecondsPerVariant) return std::nullopt;
    return CaseResult{.verdict = Verdict::kSkipped,
                      .message = fmt::format("a quick run: the variant took {:.0f} s already", spent->second)};
  }
  void spend(const Row& row, double seconds) { seconds_[row.variant_name()] += seconds; }

 private:
  static constexpr double kSecondsPerVariant = 4;
  bool is_full_;
  std::map<std::string, double> seconds_;
};

// The rows that the parent sends to a child without work; none when there are none left.
std::vector<Row> more_rows() {
  reply({{"idle", true}});
  std::string line;
  char chunk[4096];
  while (line.empty() || line.back() != '\n') {
    const ssize_t got = ::read(kWorkDescriptor, chunk, sizeof chunk);
    if (got <= 0) return {};
    line.append(chunk, static_cast<size_t>(got));
  }
  return parse_rows(nlohmann::ordered_json::parse(line));
}

// Runs rows in turn; false if the device was lost.
bool run_rows(const std::vector<Row>& rows, CaseRunner& runner, QuickBudget& budget, bool full) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    CaseResult result;
    bool is_lost = false;
    reply({{"start", i}});
    if (const auto refused = budget.refuse(row)) {
      reply({{"end", i}, {"result", to_json(*refused)}});
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    try {
      result = run_row(runner, row, full);
    } catch (const Error& error) {
      result = failure(error);
      is_lost = error.code() == ErrorCode::kDevice;
    }
    budget.spend(row, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    reply({{"end", i}, {"result", to_json(result)}});
    if (is_lost) return false;
  }
  return true;
}

bool run_all(const Job& job) {
  CaseRunner runner(job.devices.at(0), job.device_options);
  QuickBudget budget(job.plan.full);
  for (std::vector<Row> rows = job.rows; !rows.empty(); rows = more_rows()) {
    if (!run_rows(rows, runner, budget, job.plan.full)) return false;
  }
  return true;
}

// The case again, from the same seed. Where it had crashed or hung nothing is compiled or submitted; else it runs, so
// that the reproducer has what the device makes of it.
void write_repro(const Job& job) {
  const Row& row = job.rows.at(0);
  CaseRunner runner(job.devices.at(0), job.device_options);
  Device& opened = runner.device_for(row.variant);
  DeviceReport device = describe(opened.info());
  device.driver_build = vulkan::driver_build(device.id, job.device_options);
  const KernelSpec& kernel = find_kernel_or_probe(row.kernel);
  const CaseOptions options = case_options(row, job.plan.full);
  const PreparedCase prepared = runner.prepare(kernel, row.variant, case_of(kernel, row), options);
  write_reproducer({.folder = job.folder,
                    .row = row,
                    .device = device,
                    .info = opened.info(),
                    .options = job.device_options,
                    .runs = options.runs},
                   prepared);
  reply({{"reproducer", job.folder}});
  const Verdict verdict = row.result.verdict;
  if (verdict != Verdict::kFail && verdict != Verdict::kNondeterministic) return;
  const CaseResult again =
      runner.run(prepared, row.variant, options.runs, [&] { write_found(job.folder, opened, prepared); });
  if (again.verdict == Verdict::kPass) {
    add_to_report(job.folder, "The case passed when it ran again by itself: what ran before it matters.");
    reply({{"reproducer", job.folder + " (the case passed when it ran again by itself)"}});
  }
}

void walk(const Job& job) {
  const std::shared_ptr<Device> device = open_device(job.devices.at(0), job.device_options);
  walk_model(device, job.walk, job.plan.seed,
             {.begin =
                  [](const Row& row) {
                    reply({{"begin", to_json(row)}});
                  },
              .end =
                  [](const CaseResult& result) {
                    reply({{"end", to_json(result)}});
                  }});
}

}  // namespace

int work(Job job) {
  follow_parent();
  // What is disabled is meant for all devices that are tested; each does without what it can have.
  if (job.kind != JobKind::kList) {
    const BackendKind kind = backend_of(job.devices.at(0));
    std::erase_if(job.device_options.disabled, [&](Capability c) { return !can_have(kind, c); });
  }
  try {
    switch (job.kind) {
      case JobKind::kList:
        list(job);
        break;
      case JobKind::kWalk:
        walk(job);
        break;
      case JobKind::kRepro:
        write_repro(job);
        break;
      case JobKind::kRun:
        if (!run_all(job)) return kExitDeviceLost;
        break;
    }
    reply_line(kClosingLine);
    return 0;
  } catch (const Error& error) {
    reply({{"error", error.what()}, {"code", static_cast<int>(error.code())}});
    return 1;
  }
}

}  // namespace nibble::conformance
