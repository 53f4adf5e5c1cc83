#include "bench/workload.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "runtime/base/error.h"
#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"
#include "shaders/norm/quant_fp8_f32/quant_fp8_f32.h"

namespace nibble::bench {

std::string Workload::variant() const {
  std::set<std::string> names;
  for (const std::string& qualified : programs.front()->variants()) {
    names.insert(qualified.substr(qualified.find("__") + 2));
  }
  return fmt::format("{}", fmt::join(names, "+"));
}

uint64_t place_temporaries(Device& device, DispatchList& list) {
  uint64_t bytes = 0;
  std::map<const Buffer*, std::shared_ptr<Buffer>> placed;
  for (Dispatch& dispatch : list.dispatches()) {
    for (Binding& binding : dispatch.bindings) {
      for (BufferView& view : binding.views) {
        if (dynamic_cast<TemporaryBuffer*>(view.buffer.get()) == nullptr) continue;
        std::shared_ptr<Buffer>& buffer = placed[view.buffer.get()];
        if (buffer == nullptr) {
          buffer = device.allocate(view.buffer->bytes(), view.buffer->label());
          device.fill(BufferView(buffer), kPoison);
          bytes += buffer->bytes();
        }
        view.buffer = buffer;
      }
    }
  }
  return bytes;
}

std::vector<Output> written_floats(const Dispatch& dispatch) {
  bool accumulates = true;
  for (size_t i = 0; i < dispatch.kernel->params.size(); ++i) {
    uint32_t value = 0;
    std::memcpy(&value, dispatch.params.data() + i * 4, 4);
    if (dispatch.kernel->params[i].name == "accumulate") accumulates = value != 0;
  }
  std::vector<Output> outputs;
  size_t next = 0;
  for (const BindingSpec& spec : dispatch.kernel->bindings) {
    if (spec.kind == BindingKind::kStep) continue;
    const Binding& binding = dispatch.bindings[next++];
    const bool floats = spec.type == ElementType::kF32 || spec.type == ElementType::kF32x4;
    if (!floats || spec.access == Access::kRead) continue;
    const bool replaced = spec.access == Access::kWrite || !accumulates;
    for (const BufferView& view : binding.views) outputs.push_back({view, replaced});
  }
  return outputs;
}

void check_outputs(Device& device, const Workload& workload, const std::string& what, bool partial) {
  for (const Output& output : workload.outputs) {
    if (output.replaced) device.fill(output.view, kPoison);
  }
  device.wait(device.submit(*workload.programs.front(), workload.step));
  for (const Output& output : workload.outputs) {
    const BufferView& view = output.view;
    std::vector<uint32_t> words(view.bytes / 4);
    device.download(view, std::as_writable_bytes(std::span(words)));
    const auto unwritten = static_cast<size_t>(std::count(words.begin(), words.end(), kPoison));
    if (unwritten > 0 && (!partial || unwritten == words.size())) {
      fail(ErrorCode::kDevice, "{}: {} of {} elements of '{}' were not written", what, unwritten, words.size(),
           view.buffer->label());
    }
    for (size_t i = 0; i < words.size(); ++i) {
      const auto value = std::bit_cast<float>(words[i]);
      if (std::isfinite(value) || words[i] == kPoison) continue;
      fail(ErrorCode::kDevice, "{}: element {} of '{}' is {}", what, i, view.buffer->label(), value);
    }
  }
}

Workload empty_dispatch(Device& device) {
  constexpr uint32_t kCols = 128;
  Rng rng(1);
  const std::vector<float> x = spec::normal_floats(rng, kCols);
  const auto from = device.allocate(kCols * 4, "empty.x");
  const auto to = device.allocate(kCols * 4, "empty.y");
  device.upload(from, std::as_bytes(std::span(x)));
  DispatchList list;
  list.set_step_words(kStepHeaderWords);
  list.add({.kernel = &kernels::quant_fp8_f32(),
            .params = pack_params(QuantParams{.cols = kCols}),
            .bindings = {from, to},
            .label = "empty"});
  Workload workload{.outputs = {{to}}, .step = spec::step_words({.n_tokens = 1})};
  workload.programs.push_back(device.record(list));
  return workload;
}

}  // namespace nibble::bench
