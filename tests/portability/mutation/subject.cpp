#include "tests/portability/mutation/subject.h"

#include <dlfcn.h>

#include <algorithm>
#include <functional>
#include <map>

#include "runtime/base/error.h"
#include "tests/portability/faults/vulkan_layer.h"
#include "tests/portability/mutation/child_call.h"
#include "tools/conformance/plan.h"

namespace nibble::mutation {
namespace {

using conformance::CaseRunner;
using conformance::Row;
using conformance::Verdict;

// The layer's hook has no argument of its own: what it does to modules in this process.
std::function<void(Words&)>& module_edit() {
  static std::function<void(Words&)> edit;
  return edit;
}

void call_module_edit(Words& words) {
  if (module_edit()) module_edit()(words);
}

void set_hook(const SubjectOptions& options, std::function<void(Words&)> edit) {
  void* layer = ::dlopen(options.layer.c_str(), RTLD_NOW);
  if (layer == nullptr) fail(ErrorCode::kNotFound, "no fault layer '{}'", options.layer);
  using Setter = void (*)(faults::ModuleHook);
  const auto set = reinterpret_cast<Setter>(::dlsym(layer, "nibble_fault_layer_set_module_hook"));
  if (set == nullptr) fail(ErrorCode::kNotFound, "'{}' is not the fault layer", options.layer);
  module_edit() = std::move(edit);
  set(call_module_edit);
}

DeviceOptions device_options(const SubjectOptions& options) {
  DeviceOptions result;
  result.cache_dir = options.cache_dir;
  return result;
}

std::string device_id(const SubjectOptions& options) {
  const std::vector<FoundDevice> found = list_devices(device_options(options));
  return found[select_device(options.device, found)].info.id;
}

Outcome outcome_of(const Row& row, const conformance::CaseResult& result) {
  const bool is_killed = result.verdict != Verdict::kPass && result.verdict != Verdict::kSkipped;
  return {.is_killed = is_killed,
          .verdict = is_killed ? std::string(name_of(result.verdict)) : "",
          .row = row.case_name,
          .message = result.message};
}

Outcome run_rows(const Subject& subject, const SubjectOptions& options) {
  CaseRunner runner(device_id(options), device_options(options));
  for (const Row& row : subject.rows) {
    const KernelSpec& kernel = conformance::find_kernel_or_probe(row.kernel);
    conformance::CaseResult result;
    try {
      const KernelCase kernel_case = conformance::case_of(kernel, row);
      result = runner.run(kernel, row.variant, kernel_case, conformance::case_options(row, false));
    } catch (const Error& error) {
      result = {.verdict = Verdict::kError, .message = error.what()};
    }
    const Outcome outcome = outcome_of(row, result);
    if (outcome.is_killed) return outcome;
  }
  return {};
}

nlohmann::ordered_json to_json(const Outcome& outcome) {
  return {
      {"killed", outcome.is_killed}, {"verdict", outcome.verdict}, {"row", outcome.row}, {"message", outcome.message}};
}

Outcome parse_outcome(const std::string& text) {
  const auto json = nlohmann::ordered_json::parse(text);
  return {.is_killed = json.at("killed"),
          .verdict = json.at("verdict"),
          .row = json.at("row"),
          .message = json.at("message")};
}

// The mutation of a module at that site; modules of a variant that lack it stay as they are.
void mutate(Words& words, const std::string& site) {
  faults::Module module(words);
  for (const Mutation& mutation : mutations_of(module)) {
    if (mutation.site != site) continue;
    apply(module, mutation);
    words = module.words();
    return;
  }
}

}  // namespace

std::vector<Subject> list_subjects(const SubjectOptions& options) {
  const ChildResult listed = call_in_child(
      [&] {
        const std::vector<FoundDevice> found = list_devices(device_options(options));
        const DeviceInfo& info = found[select_device(options.device, found)].info;
        auto rows = nlohmann::ordered_json::array();
        for (const Row& row : conformance::plan_rows(info, {.kernel = options.kernel, .full = options.all_cases})) {
          // One seed: the others make neither more kinds of inputs nor more ways through a kernel.
          const bool is_first_seed = row.seed < 1000;
          if (!row.is_probe() && row.result.verdict == Verdict::kPass && is_first_seed) {
            rows.push_back(conformance::to_json(row));
          }
        }
        return conformance::dump(rows);
      },
      60);
  if (listed.ending != Ending::kReturned) {
    fail(ErrorCode::kNotFound, "device '{}' cannot be listed: {}", options.device, listed.text);
  }
  std::vector<Subject> subjects;
  for (const auto& json : nlohmann::ordered_json::parse(listed.text)) {
    Row row = conformance::parse_row(json);
    if (subjects.empty() || subjects.back().name != row.variant_name()) {
      subjects.push_back({.name = row.variant_name(), .rows = {}});
    }
    subjects.back().rows.push_back(std::move(row));
  }
  return subjects;
}

Baseline run_baseline(const Subject& subject, const SubjectOptions& options) {
  constexpr double kLimit = 300;
  const ChildResult ran = call_in_child(
      [&] {
        auto modules = nlohmann::ordered_json::array();
        set_hook(options, [&](Words& words) { modules.push_back(words); });
        const Outcome outcome = run_rows(subject, options);
        return conformance::dump({{"modules", modules}, {"outcome", to_json(outcome)}});
      },
      kLimit);
  if (ran.ending != Ending::kReturned) fail(ErrorCode::kInternal, "{} without a mutant: {}", subject.name, ran.text);
  const auto json = nlohmann::ordered_json::parse(ran.text);
  const Outcome outcome = parse_outcome(conformance::dump(json.at("outcome")));
  // A limit that is too small for one variant shows at once; such a variant has no module.
  if (outcome.is_killed && outcome.verdict != "error") {
    fail(ErrorCode::kInternal, "{}/{} without a mutant: {}", subject.name, outcome.row, outcome.message);
  }
  Baseline baseline{.modules = {}, .seconds = ran.seconds};
  if (outcome.is_killed) return baseline;
  for (const auto& words : json.at("modules")) baseline.modules.push_back(words.get<Words>());
  return baseline;
}

Outcome run_mutant(const Subject& subject, const Mutation& mutation, const SubjectOptions& options) {
  const ChildResult ran = call_in_child(
      [&] {
        set_hook(options, [&](Words& words) { mutate(words, mutation.site); });
        return conformance::dump(to_json(run_rows(subject, options)));
      },
      subject.limit_seconds);
  Outcome outcome{
      .is_killed = true, .verdict = ran.ending == Ending::kTimeout ? "hang" : "crash", .row = "", .message = ran.text};
  if (ran.ending == Ending::kReturned) outcome = parse_outcome(ran.text);
  outcome.seconds = ran.seconds;
  return outcome;
}

}  // namespace nibble::mutation
