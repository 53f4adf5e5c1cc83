#include "tools/conformance/conformance.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "runtime/base/error.h"
#include "tools/conformance/child.h"
#include "tools/conformance/driver_label.h"
#include "tools/conformance/job.h"
#include "tools/conformance/reduce.h"
#include "tools/conformance/repro.h"

namespace nibble::conformance {
namespace {

using std::chrono::milliseconds;

// Opening a device or listing all of them.
constexpr milliseconds kOpenLimit{120'000};
// A driver that hangs on every row would take hours.
constexpr size_t kMostHangs = 5;
// Children in a row that end before they begin a row: then the device cannot be opened at all.
constexpr size_t kMostIdleChildren = 3;
constexpr size_t kNoRow = SIZE_MAX;
constexpr unsigned kMostLanes = 4;  // children of a software driver at a time
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
  if (!ending.empty()) {
    fail(ErrorCode::kDevice, "a driver ended the process that lists devices: {}; it said: {}", ending,
         child.last_words());
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

std::string with_words(std::string message, const Child& child) {
  const std::string words = child.last_words();
  return words.empty() ? message : fmt::format("{}; it said: {}", message, words);
}

// The report of a device whose rows several threads fill in.
class SharedReport {
 public:
  SharedReport(DeviceReport& device, const ProgressSink& progress) : device_(device), progress_(progress) {
    done_ = device.count(Verdict::kUnsupported);
  }

  // A row as it was planned. Only who runs the row may read it.
  const Row& row(size_t index) const { return device_.rows[index]; }
  const std::string& device_id() const { return device_.id; }

  void finish(size_t row, CaseResult result) {
    const std::lock_guard lock(mutex_);
    hangs_ += result.verdict == Verdict::kHang ? 1 : 0;
    device_.rows[row].result = std::move(result);
    progress_(device_, ++done_, device_.rows.size());
  }
  void add_notice(std::string notice) {
    const std::lock_guard lock(mutex_);
    device_.notices.push_back(std::move(notice));
  }
  size_t hangs() const {
    const std::lock_guard lock(mutex_);
    return hangs_;
  }

 private:
  DeviceReport& device_;
  const ProgressSink& progress_;
  mutable std::mutex mutex_;
  size_t done_ = 0;
  size_t hangs_ = 0;
};

bool is_software(const DeviceReport& device) { return device.type == name_of(DeviceType::kSoftware); }

// How long a case may take. Drivers on the host's processor share it with whatever else runs there.
milliseconds limit_of(const DeviceReport& device, const RunOptions& options) {
  if (options.case_seconds > 0) return milliseconds(static_cast<int64_t>(options.case_seconds * 1000));
  const int64_t scale = is_simulator(device.label) ? 30 : is_software(device) ? 5 : 1;
  return milliseconds(scale * (options.plan.full ? 60'000 : 20'000));
}

// Rows of one device, in one child after the other.
class Lane {
 public:
  Lane(SharedReport& report, const RunOptions& options, milliseconds limit, std::vector<size_t> rows)
      : report_(report), options_(options), limit_(limit), pending_(std::move(rows)) {}

  void run() {
    size_t idle = 0;
    while (!pending_.empty()) {
      const size_t before = pending_.size();
      run_child();
      idle = pending_.size() < before ? 0 : idle + 1;
      if (idle == kMostIdleChildren) give_up(Verdict::kError, last_problem_);
      if (report_.hangs() >= kMostHangs) {
        give_up(Verdict::kSkipped, fmt::format("{} cases hung before", kMostHangs));
      }
    }
  }

 private:
  void run_child() {
    Job job{.kind = JobKind::kRun,
            .device_options = options_.device_options,
            .plan = options_.plan,
            .devices = {report_.device_id()}};
    for (const size_t i : pending_) job.rows.push_back(report_.row(i));
    const std::vector<size_t> rows = pending_;
    Child child(job);
    size_t in_flight = kNoRow;
    std::string line;
    Child::Event event = Child::Event::kLine;
    while ((event = child.read_line(line, in_flight == kNoRow ? kOpenLimit : limit_)) == Child::Event::kLine) {
      const auto json = nlohmann::ordered_json::parse(line);
      if (json.contains("start")) {
        in_flight = rows.at(json.at("start").get<size_t>());
      } else if (json.contains("end")) {
        in_flight = kNoRow;
        finish(rows.at(json.at("end").get<size_t>()), parse_result(json.at("result")));
      } else {
        last_problem_ = json.at("error");
      }
    }
    if (event == Child::Event::kTimeout) child.kill();
    const std::string ending = child.wait();
    if (in_flight != kNoRow) {
      abandon(in_flight, event == Child::Event::kTimeout, with_words(ending, child));
    } else if (child.exit_code() != 0 && child.exit_code() != kExitDeviceLost) {
      if (last_problem_.empty()) last_problem_ = with_words(ending, child);
      if (pending_.empty()) report_.add_notice("the process ended badly after the last case: " + last_problem_);
    }
  }

  void finish(size_t row, CaseResult result) {
    std::erase(pending_, row);
    report_.finish(row, std::move(result));
  }

  // The child is gone and took this row with it. What killed it is likely the variant, not the case.
  void abandon(size_t row, bool is_hang, const std::string& ending) {
    const auto seconds = static_cast<double>(limit_.count()) / 1000;
    finish(row, {.verdict = is_hang ? Verdict::kHang : Verdict::kCrash,
                 .message = is_hang ? fmt::format("no result after {} s", seconds) : ending});
    const std::string name = report_.row(row).variant_name();
    for (const size_t other : std::vector<size_t>(pending_)) {
      if (report_.row(other).variant_name() != name) continue;
      finish(other, {.verdict = Verdict::kSkipped,
                     .message = fmt::format("case '{}' took the process with it", report_.row(row).case_name)});
    }
  }

  void give_up(Verdict verdict, const std::string& why) {
    for (const size_t row : std::vector<size_t>(pending_)) finish(row, {.verdict = verdict, .message = why});
  }

  SharedReport& report_;
  const RunOptions& options_;
  milliseconds limit_;
  std::vector<size_t> pending_;
  std::string last_problem_;
};

// Runs the rows of one device in as many children as it takes.
class DeviceRun {
 public:
  DeviceRun(DeviceReport& device, const RunOptions& options, const ProgressSink& progress)
      : device_(device), options_(options), progress_(progress), limit_(limit_of(device, options)) {}

  // Software drivers compile on one processor for most of the time: they get a child for each of a few processors. A
  // GPU gets one, for a case that takes the device with it must not take others.
  void run() {
    const size_t most = is_software(device_) ? std::clamp(std::thread::hardware_concurrency(), 1u, kMostLanes) : 1;
    // Cases of a variant stay together: they share what was compiled.
    std::vector<std::vector<size_t>> rows(most);
    std::map<std::string, size_t> lane_of;
    for (size_t i = 0; i < device_.rows.size(); ++i) {
      const Row& row = device_.rows[i];
      if (row.result.verdict == Verdict::kUnsupported) continue;
      rows[lane_of.try_emplace(row.variant_name(), lane_of.size() % most).first->second].push_back(i);
    }
    SharedReport report(device_, progress_);
    std::vector<std::future<void>> lanes;
    for (std::vector<size_t>& own : rows) {
      lanes.push_back(std::async(std::launch::async,
                                 [&report, &own, this] { Lane(report, options_, limit_, std::move(own)).run(); }));
    }
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
    Lane(report, options_, limit_, {0}).run();
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
    if (said.empty()) return "none: the process that writes it ended: " + with_words(ending, child);
    return said + " (the process ended when the case ran again: " + with_words(ending, child) + ")";
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
      fail_row({.verdict = Verdict::kHang, .message = with_words("no result", child)});
    } else if (!is_stopped_ && !ending.empty()) {
      fail_row({.verdict = Verdict::kCrash, .message = with_words(ending, child)});
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
