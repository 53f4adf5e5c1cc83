#include "tools/conformance/conformance.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <optional>
#include <set>
#include <system_error>

#include "runtime/base/error.h"
#include "runtime/base/processors.h"
#include "tools/conformance/child.h"
#include "tools/conformance/driver_label.h"
#include "tools/conformance/job.h"
#include "tools/conformance/lane.h"
#include "tools/conformance/reduce.h"
#include "tools/conformance/repro.h"

namespace nibble::conformance {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMostLanes = 4;  // children of a software driver at a time
// A dispatch of a large model and its reference on the host's processor.
constexpr milliseconds kWalkLimit{1'800'000};
// Failures after which a walk ends: a kernel that is wrong is wrong in every layer.
constexpr size_t kMostWalkFailures = 20;

std::vector<DeviceReport> list(const RunOptions& options) {
  Child child({.kind = JobKind::kList,
               .device_options = options.device_options,
               .plan = options.plan,
               .devices = options.devices});
  std::vector<DeviceReport> devices;
  std::string line;
  Child::Event event = Child::Event::kLine;
  while ((event = child.read_line(line, kOpenLimit)) == Child::Event::kLine) {
    const auto json = nlohmann::ordered_json::parse(line);
    if (json.contains("error")) throw Error(ErrorCode{json.at("code").get<int>()}, json.at("error"));
    devices.push_back(parse_device(json.at("device")));
  }
  if (event == Child::Event::kTimeout) fail(ErrorCode::kDevice, "a driver hangs where devices are listed");
  const std::string ending = child.wait();
  // What crashes where it is unloaded has answered before.
  if (!child.is_done()) {
    fail(ErrorCode::kDevice, "a driver ended the process that lists devices: {}", with_last_words(ending, child));
  }
  return devices;
}

BackendKind backend_of(const DeviceReport& device) {
  if (device.id.starts_with("vulkan:")) return BackendKind::kVulkan;
  return device.id.starts_with("opencl:") ? BackendKind::kOpenCl : BackendKind::kCpu;
}

// "vulkan_0"
std::string folder_name(const DeviceReport& device) {
  std::string name = device.id;
  std::ranges::replace(name, ':', '_');
  return name;
}

bool is_software(const DeviceReport& device) { return device.type == name_of(DeviceType::kSoftware); }

// How long a case may take. Drivers on the host's processor share it with whatever else runs there.
milliseconds limit_of(const DeviceReport& device, const RunOptions& options) {
  if (options.case_seconds > 0) return milliseconds(static_cast<int64_t>(options.case_seconds * 1000));
  const int64_t scale = is_simulator(device.label) ? 30 : is_software(device) ? 5 : 1;
  return milliseconds(scale * (options.plan.full ? 60'000 : 20'000));
}

// Runs the rows of one device in as many children as it takes.
class DeviceRun {
 public:
  DeviceRun(DeviceReport& device, const RunOptions& options, const ProgressSink& progress)
      : device_(device), options_(options), progress_(progress), limit_(limit_of(device, options)) {}

  // Software drivers compile on one processor for most of the time: they get a child for each of a few processors. A
  // GPU gets one, for a case that takes the device with it must not take others.
  void run() {
    const size_t most = is_software(device_) ? std::min(usable_processors().usable, kMostLanes) : 1;
    SharedReport report(device_, progress_);
    RowQueue queue(device_.rows);
    std::vector<std::future<void>> lanes;
    const auto work = [&report, &queue, this] { Lane(report, queue, options_, limit_).run(); };
    try {
      while (lanes.size() + 1 < most) lanes.push_back(std::async(std::launch::async, work));
    } catch (const std::system_error&) {  // no more threads: the lanes that there are take all rows
    }
    work();
    for (std::future<void>& lane : lanes) lane.get();
  }

  // The first failing case of each variant is made smaller, and written to `folder` unless that is empty; in children:
  // what it touches has just gone wrong.
  void show_failures(const std::filesystem::path& folder) {
    std::set<std::string> shown;
    for (Row& row : device_.rows) {
      if (!wants_reproducer(row.result.verdict) || !shown.insert(row.variant_name()).second) continue;
      // What hangs would take the time limit for every size.
      if (row.result.verdict != Verdict::kHang && !row.is_probe()) {
        reduce(row, [this](const Row& smaller, bool on_host) { return run_alone(smaller, on_host); });
      }
      if (folder.empty()) continue;
      const std::optional<std::string> obstacle = no_reproducer(row, backend_of(device_));
      row.reproducer = obstacle ? "none: " + *obstacle : write_reproducer(row, folder / repro_path(row));
    }
  }

 private:
  CaseResult run_alone(Row row, bool on_host) {
    DeviceReport alone;
    alone.id = on_host ? "cpu" : device_.id;
    if (on_host) row.variant = "cpp";
    alone.rows.push_back(std::move(row));
    const ProgressSink silent = [](const DeviceReport&, size_t, size_t) {};
    SharedReport report(alone, silent);
    RowQueue queue(alone.rows);
    Lane(report, queue, options_, limit_).run();
    return alone.rows.front().result;
  }

  // The folder, or why there is none.
  std::string write_reproducer(const Row& row, const std::filesystem::path& folder) {
    Child child({.kind = JobKind::kRepro,
                 .device_options = options_.device_options,
                 .plan = options_.plan,
                 .devices = {device_.id},
                 .rows = {row},
                 .folder = folder.string()});
    std::string said;
    std::string error;
    std::string line;
    Child::Event event = Child::Event::kLine;
    while ((event = child.read_line(line, said.empty() ? kOpenLimit : limit_)) == Child::Event::kLine) {
      const auto json = nlohmann::ordered_json::parse(line);
      if (json.contains("reproducer")) {
        said = json.at("reproducer");
      } else {
        error = json.at("error");
      }
    }
    if (event == Child::Event::kTimeout) child.kill();
    const std::string ending = child.wait();
    if (!error.empty() || ending.empty()) return said.empty() ? "none: " + error : said;
    if (said.empty()) return "none: the process that writes it ended: " + with_last_words(ending, child);
    if (child.is_done()) return said;
    return said + " (the process ended when the case ran again: " + with_last_words(ending, child) + ")";
  }

  DeviceReport& device_;
  const RunOptions& options_;
  const ProgressSink& progress_;
  milliseconds limit_;
};

// Runs a model on one device; its dispatches become the rows.
class ModelRun {
 public:
  ModelRun(DeviceReport& device, const RunOptions& options, const ProgressSink& progress)
      : device_(device), options_(options), progress_(progress) {}

  void run() {
    device_.rows.clear();
    Child child({.kind = JobKind::kWalk,
                 .device_options = options_.device_options,
                 .plan = options_.plan,
                 .devices = {device_.id},
                 .walk = options_.walk});
    std::string line;
    Child::Event event = Child::Event::kLine;
    while (!is_stopped_ && (event = child.read_line(line, kWalkLimit)) == Child::Event::kLine) take(line);
    if (event != Child::Event::kEnd) child.kill();
    const std::string ending = child.wait();
    if (event == Child::Event::kTimeout) {
      fail_row({.verdict = Verdict::kHang, .message = with_last_words("no result", child)});
    } else if (!is_stopped_ && !ending.empty()) {
      fail_row({.verdict = Verdict::kCrash, .message = with_last_words(ending, child)});
    }
    const auto first =
        std::ranges::find_if(device_.rows, [](const Row& row) { return row.result.verdict != Verdict::kPass; });
    device_.notices.push_back(
        first == device_.rows.end()
            ? fmt::format("all {} dispatches of the model are right", device_.rows.size() - 1)
            : fmt::format("the first to depart: {}, {}", first->variant_name(), first->case_name));
  }

 private:
  void take(const std::string& line) {
    const auto json = nlohmann::ordered_json::parse(line);
    if (json.contains("error")) {
      const Error error(ErrorCode{json.at("code").get<int>()}, json.at("error"));
      // A directory that is no checkpoint is nobody's fault but the caller's.
      const bool is_devices = is_running_ || error.code() == ErrorCode::kDevice ||
                              error.code() == ErrorCode::kOutOfMemory || error.code() == ErrorCode::kUnsupported;
      if (!is_devices) throw error;
      fail_row({.verdict = Verdict::kError, .message = error.what()});
      is_stopped_ = true;
    } else if (json.contains("begin")) {
      device_.rows.push_back(parse_row(json.at("begin")));
      is_running_ = true;
    } else {
      device_.rows.back().result = parse_result(json.at("end"));
      is_running_ = false;
      progress_(device_, device_.rows.size(), device_.rows.size());
      if (device_.rows.back().result.verdict == Verdict::kFail && ++failures_ == kMostWalkFailures) {
        device_.notices.push_back(fmt::format("the walk ended after {} failures", failures_));
        is_stopped_ = true;
      }
    }
  }

  // That of the dispatch under way; between dispatches programs are compiled and weights brought to the device.
  void fail_row(CaseResult result) {
    if (!is_running_) {
      device_.rows.push_back(
          {.kernel = "model", .variant = "loaded", .case_name = "programs", .seed = options_.plan.seed});
    }
    device_.rows.back().result = std::move(result);
    is_running_ = false;
  }

  DeviceReport& device_;
  const RunOptions& options_;
  const ProgressSink& progress_;
  bool is_running_ = false;  // the dispatch of the last row
  bool is_stopped_ = false;
  size_t failures_ = 0;
};

}  // namespace

Report run(const RunOptions& options, const ProgressSink& progress) {
  require_match(options.plan.kernel);
  Report report{.system = describe_system(),
                .mode = !options.walk.directory.empty() ? "model"
                        : options.plan.full             ? "full"
                                                        : "quick",
                .seed = options.plan.seed,
                .limits = options.device_options.limits,
                .devices = list(options)};
  for (const Capability capability : options.device_options.disabled) {
    report.disabled.emplace_back(name_of(capability));
  }
  for (DeviceReport& device : report.devices) {
    const auto begin = std::chrono::steady_clock::now();
    if (options.walk.directory.empty()) {
      DeviceRun device_run(device, options, progress);
      device_run.run();
      std::filesystem::path folder = options.repro_directory;
      // Devices fail in the same cases: several of them get a folder each.
      if (!folder.empty() && report.devices.size() > 1) folder /= folder_name(device);
      if (options.is_reducing || !folder.empty()) device_run.show_failures(folder);
    } else {
      ModelRun(device, options, progress).run();
    }
    device.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    link_causes(device);
  }
  return report;
}

}  // namespace nibble::conformance
