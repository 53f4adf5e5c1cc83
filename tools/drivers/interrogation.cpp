#include "tools/drivers/interrogation.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/ranges.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "tools/drivers/child_process.h"
#include "tools/drivers/driver_files.h"
#include "tools/drivers/temporary_folder.h"

namespace nibble::drivers {
namespace {

using std::chrono::milliseconds;

// From here on somebody at a terminal wonders.
constexpr milliseconds kQuietFor{5'000};

// A child that has been asked, and its answer.
class Question {
 public:
  Question(BackendKind api, const std::vector<std::string>& icds, const Variables& variables)
      : api_(api), child_(arguments_for(api, icds), "", variables) {}

  // How the child failed to answer; empty if it did.
  std::string failure(milliseconds limit) {
    std::string line;
    ChildProcess::Event event = child_.read_line(line, std::min(limit, kQuietFor));
    if (event == ChildProcess::Event::kTimeout && limit > kQuietFor) {
      warn("waiting for the drivers of {} to list their devices, for up to {} s", name_of(api_), limit.count() / 1000);
      event = child_.read_line(line, limit - kQuietFor);
    }
    if (event == ChildProcess::Event::kLine) return "";
    if (event == ChildProcess::Event::kTimeout) {
      child_.kill();
      child_.wait();
      return fmt::format("gave no answer within {} s", static_cast<double>(limit.count()) / 1000);
    }
    return fmt::format("ended the process that loaded it: {}", child_.wait());
  }

 private:
  static std::vector<std::string> arguments_for(BackendKind api, const std::vector<std::string>& icds) {
    std::vector<std::string> arguments = {"driver-worker", std::string(name_of(api))};
    for (const std::string& icd : icds) arguments.insert(arguments.end(), {"--icd", icd});
    return arguments;
  }

  BackendKind api_;
  ChildProcess child_;
};

class Interrogation {
 public:
  Interrogation(BackendKind api, const std::vector<std::string>& icds, milliseconds limit)
      : api_(api), icds_(icds), limit_(limit), files_(driver_files(api, icds)) {}

  Verdict run() {
    const std::string together = Question(api_, icds_, {}).failure(limit_);
    if (together.empty()) return {};
    ask_each();
    const bool all_are_bad = bad_ == files_.size();
    // A layer that is loaded with every driver makes each look bad.
    if (api_ == BackendKind::kVulkan && (all_are_bad || bad_ == 0)) {
      if (std::optional<Verdict> verdict = blame_layers()) return *verdict;
    }
    if (bad_ == 0) return {.unusable = "together, its drivers " + together};
    Verdict verdict = without_bad();
    if (all_are_bad) return unusable("none of its drivers can be used", verdict);
    const std::string rest = ask_only(good_files());
    if (!rest.empty()) return unusable(fmt::format("the drivers that are left together {}", rest), verdict);
    for (std::string& message : verdict.messages) message += "; it is left out";
    return verdict;
  }

 private:
  // Each driver alone, all at the same time.
  void ask_each() {
    std::vector<std::unique_ptr<TemporaryFolder>> folders;
    std::vector<std::unique_ptr<Question>> questions;
    for (const DriverFile& file : files_) {
      folders.push_back(std::make_unique<TemporaryFolder>());
      questions.push_back(std::make_unique<Question>(api_, std::vector<std::string>{},
                                                     only_these(api_, {file}, folders.back()->path())));
    }
    for (const auto& question : questions) failures_.push_back(question->failure(limit_));
    bad_ = static_cast<size_t>(std::ranges::count_if(failures_, [](const auto& f) { return !f.empty(); }));
  }

  std::string ask_only(const std::vector<DriverFile>& files) const {
    const TemporaryFolder folder;
    return Question(api_, {}, only_these(api_, files, folder.path())).failure(limit_);
  }

  std::vector<DriverFile> good_files() const {
    std::vector<DriverFile> good;
    for (size_t i = 0; i < files_.size(); ++i) {
      if (failures_[i].empty()) good.push_back(files_[i]);
    }
    return good;
  }

  Verdict without_bad() const {
    Verdict verdict;
    for (size_t i = 0; i < files_.size(); ++i) {
      if (failures_[i].empty()) continue;
      verdict.excluded.push_back(files_[i].path.string());
      verdict.messages.push_back(fmt::format("driver {} {}", files_[i].describe(), failures_[i]));
    }
    return verdict;
  }

  static Verdict unusable(const std::string& why, const Verdict& verdict) {
    return {.unusable = fmt::format("{}: {}", why, fmt::join(verdict.messages, "; "))};
  }

  // The layer without which all drivers answer, or all of them if it takes more than one.
  std::optional<Verdict> blame_layers() const {
    const std::vector<ImplicitLayer> layers = implicit_layers();
    const auto answers_without = [&](const std::vector<ImplicitLayer>& some) {
      Variables off;
      for (const ImplicitLayer& layer : some) off.emplace_back(layer.off_variable, layer.off_value);
      return Question(api_, icds_, off).failure(limit_).empty();
    };
    if (layers.empty() || !answers_without(layers)) return std::nullopt;
    std::vector<ImplicitLayer> guilty = layers;
    for (const ImplicitLayer& layer : layers) {
      if (layers.size() == 1 || !answers_without({layer})) continue;
      guilty = {layer};
      break;
    }
    Verdict verdict;
    for (const ImplicitLayer& layer : guilty) {
      verdict.switches.emplace_back(layer.off_variable, layer.off_value);
      verdict.messages.push_back(fmt::format("layer {} of {} ended the process that loaded it; it is switched off",
                                             layer.name, layer.file.describe()));
    }
    return verdict;
  }

  BackendKind api_;
  const std::vector<std::string>& icds_;
  milliseconds limit_;
  std::vector<DriverFile> files_;
  std::vector<std::string> failures_;  // of each file; empty if it answered
  size_t bad_ = 0;
};

}  // namespace

Verdict interrogate(BackendKind api, const std::vector<std::string>& icds, milliseconds limit) {
  return Interrogation(api, icds, limit).run();
}

}  // namespace nibble::drivers
