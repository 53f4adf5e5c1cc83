#include "tools/conformance/watched_device.h"

#include <algorithm>
#include <chrono>

#include "runtime/base/error.h"
#include "tools/conformance/compare.h"

namespace nibble::conformance {
namespace {

struct WatchedDispatch {
  Dispatch dispatch;
  std::unique_ptr<Program> program;
};

class WatchedProgram final : public Program {
 public:
  std::vector<std::string> variants() const override {
    std::vector<std::string> names;
    for (const WatchedDispatch& watched : dispatches) {
      for (std::string& name : watched.program->variants()) names.push_back(std::move(name));
    }
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  std::vector<WatchedDispatch> dispatches;
};

// Of slabs: their first is a full one or the only one, and ends with up to 15 bytes of padding.
uint64_t item_bytes(const Binding& binding) {
  if (binding.items_per_slab == 0) return 0;
  return binding.views.front().bytes / binding.items_per_slab / 4 * 4;
}

// One array: slabs one after the other, without their padding.
std::vector<std::byte> content_of(Device& device, const Binding& binding) {
  const uint64_t slab_bytes = binding.items_per_slab == 0 ? UINT64_MAX : binding.items_per_slab * item_bytes(binding);
  std::vector<std::byte> all;
  for (const BufferView& view : binding.views) {
    const size_t begin = all.size();
    all.resize(begin + std::min(view.bytes, slab_bytes));
    device.download(view, std::span(all).subspan(begin));
  }
  return all;
}

CaseData read_case(Device& device, const Dispatch& dispatch, std::span<const uint32_t> step) {
  CaseData data{.params = dispatch.params, .step = {step.begin(), step.end()}};
  size_t next = 0;
  for (const BindingSpec& spec : dispatch.kernel->bindings) {
    if (spec.kind == BindingKind::kStep) {
      data.bindings.emplace_back();
      continue;
    }
    const Binding& binding = dispatch.bindings[next++];
    data.bindings.push_back({.content = content_of(device, binding), .item_bytes = item_bytes(binding)});
  }
  return data;
}

// Activations have room for the longest step; the reference says how many elements this one has.
void cut_to_step(const KernelSpec& kernel, const std::vector<Expected>& expected, Contents& contents) {
  size_t next = 0;
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    if (kernel.bindings[b].kind == BindingKind::kStep) continue;
    std::vector<std::byte>& content = contents[next++];
    for (const Expected& want : expected) {
      const size_t elements = std::max(want.values.size(), want.words.size());
      if (want.binding == b && elements != 0) content.resize(std::min(content.size(), elements * 4));
    }
  }
}

CaseResult run_watched(Device& device, const WatchedDispatch& watched, std::span<const uint32_t> step) {
  const auto begin = std::chrono::steady_clock::now();
  const KernelSpec& kernel = *watched.dispatch.kernel;
  const CaseData data = read_case(device, watched.dispatch, step);
  device.wait(device.submit(*watched.program, step));
  Contents found;
  for (const Binding& binding : watched.dispatch.bindings) found.push_back(content_of(device, binding));
  const std::vector<Expected> expected = kernel.reference(data);
  cut_to_step(kernel, expected, found);
  std::vector<std::span<const std::byte>> before;
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    if (kernel.bindings[b].kind == BindingKind::kStep) continue;
    before.push_back(std::span(data.bindings[b].content).first(found[before.size()].size()));
  }
  const Comparison compared = compare_contents(kernel, expected, before, found, flush_allowance(device.info().backend));
  return {.verdict = compared.problem.empty() ? Verdict::kPass : Verdict::kFail,
          .message = compared.problem,
          .worst = compared.worst,
          .wrong = compared.wrong,
          .elements = compared.elements,
          .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()};
}

}  // namespace

std::unique_ptr<Program> WatchedDevice::record(const DispatchList& list) {
  auto program = std::make_unique<WatchedProgram>();
  for (const Dispatch& dispatch : list.dispatches()) {
    DispatchList alone;
    alone.set_step_words(list.step_words());
    alone.add(dispatch);
    program->dispatches.push_back({.dispatch = dispatch, .program = device_.record(alone)});
  }
  return program;
}

Ticket WatchedDevice::submit(Program& program, std::span<const uint32_t> step) {
  auto* const watched = dynamic_cast<WatchedProgram*>(&program);
  check(watched != nullptr, "the program was recorded by another device");
  for (const WatchedDispatch& dispatch : watched->dispatches) {
    sink_.begin(dispatch.dispatch, dispatch.program->variants().at(0));
    sink_.end(run_watched(device_, dispatch, step));
  }
  return 0;
}

std::vector<DispatchTiming> WatchedDevice::time_dispatches(Program&, std::span<const uint32_t>) {
  fail(ErrorCode::kInternal, "a watched device times nothing");
}

}  // namespace nibble::conformance
