#include "bench/kernel_problem.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/base/error.h"
#include "runtime/core/device_info.h"

namespace nibble::bench {
namespace {

constexpr uint64_t kColdFrom = uint64_t{1} << 20;  // inputs below this come from a cache in real use as well
constexpr uint64_t kMaxCopies = 64;
constexpr uint64_t kSharedBelow = uint64_t{64} << 10;  // bindings below this are not copied

constexpr std::array<std::string_view, 15> kSizeParams = {"rows",  "cols",    "heads",  "dim",    "width",
                                                          "k",     "experts", "window", "copies", "rope",
                                                          "ratio", "block",   "stride", "slots",  "rows_per_token"};

ProblemTable make_table() {
  ProblemTable table;
  add_gemm_problems(table);
  add_attention_problems(table);
  add_small_problems(table);
  return table;
}

std::vector<std::byte> random_words(Rng& rng, size_t bytes, uint64_t keep, uint64_t set) {
  std::vector<std::byte> result((bytes + 7) / 8 * 8);
  for (size_t at = 0; at < result.size(); at += 8) {
    const uint64_t word = (rng.next_u64() & keep) | set;
    std::memcpy(result.data() + at, &word, 8);
  }
  result.resize(bytes);
  return result;
}

uint64_t input_bytes(const KernelSpec& kernel, const CaseData& data) {
  uint64_t bytes = 0;
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    if (kernel.bindings[b].access == Access::kRead) bytes += data.bindings[b].content.size();
  }
  return bytes;
}

// A binding of `content`; slabs are as long as the device allows.
Binding place_binding(Device& device, const BindingSpec& spec, const CaseBinding& binding) {
  const DeviceLimits& limits = device.info().limits;
  const uint64_t most = std::min(limits.max_range, limits.max_allocation);
  const auto place = [&](std::span<const std::byte> bytes) {
    const uint64_t padded = (bytes.size() + 15) / 16 * 16;
    if (padded > most) {
      fail(ErrorCode::kUnsupported, "binding '{}' takes {}, device '{}' allows {}", spec.name, format_bytes(padded),
           device.info().name, format_bytes(most));
    }
    const auto buffer = device.allocate(padded, std::string(spec.name));
    if (spec.access == Access::kWrite) {
      device.fill(buffer, kPoison);
    } else {
      device.upload(buffer, bytes);
    }
    return BufferView(buffer);
  };
  if (spec.kind != BindingKind::kSlabs) return {place(binding.content)};
  const uint64_t items = binding.content.size() / binding.item_bytes;
  const uint64_t per_slab = std::clamp<uint64_t>(most / binding.item_bytes, 1, items);
  std::vector<BufferView> views;
  for (uint64_t first = 0; first < items; first += per_slab) {
    const uint64_t count = std::min(per_slab, items - first);
    views.push_back(place(std::span(binding.content).subspan(first * binding.item_bytes, count * binding.item_bytes)));
  }
  return {std::move(views), per_slab};
}

}  // namespace

const std::vector<ProblemShape>& problem_shapes(std::string_view kernel) {
  static const ProblemTable table = make_table();
  static const std::vector<ProblemShape> none;
  const auto found = table.find(kernel);
  return found == table.end() ? none : found->second;
}

std::vector<std::byte> overridden(std::vector<std::byte> defaults, const KernelSpec& kernel,
                                  const ProblemRequest& request) {
  check(defaults.size() == kernel.params.size() * 4, "kernel '{}' has {} params, its problem {} bytes", kernel.name,
        kernel.params.size(), defaults.size());
  for (size_t i = 0; i < kernel.params.size(); ++i) {
    const auto found = request.overrides.find(kernel.params[i].name);
    if (found == request.overrides.end()) continue;
    const auto real = static_cast<float>(found->second);
    const auto whole = static_cast<uint32_t>(found->second);
    std::memcpy(defaults.data() + i * 4, kernel.params[i].is_float ? static_cast<const void*>(&real) : &whole, 4);
  }
  return defaults;
}

std::string describe_params(const KernelSpec& kernel, std::span<const std::byte> params) {
  std::string text;
  for (size_t i = 0; i < kernel.params.size(); ++i) {
    const std::string_view name = kernel.params[i].name;
    uint32_t value = 0;
    std::memcpy(&value, params.data() + i * 4, 4);
    const bool is_size = std::find(kSizeParams.begin(), kSizeParams.end(), name) != kSizeParams.end();
    if (is_size && value != 0 && !(name == "rows_per_token" && value == 1)) {
      text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
    }
  }
  return text;
}

Workload place_problem(Device& device, const KernelSpec& kernel, const CaseData& data, uint64_t cold_bytes) {
  const uint64_t inputs = input_bytes(kernel, data);
  const uint64_t copies = inputs < kColdFrom ? 1 : std::clamp<uint64_t>(cold_bytes / inputs + 1, 2, kMaxCopies);
  const StepHeader header = read_step_header(data.step);
  Workload workload{.step = data.step};
  Dispatch dispatch{.kernel = &kernel,
                    .params = data.params,
                    .label = std::string(kernel.name),
                    .rows = std::max(1u, header.n_tokens)};
  for (uint64_t copy = 0; copy < copies; ++copy) {
    size_t next = 0;
    for (size_t b = 0; b < kernel.bindings.size(); ++b) {
      const BindingSpec& spec = kernel.bindings[b];
      if (spec.kind == BindingKind::kStep) continue;
      const bool fresh = spec.access == Access::kRead && data.bindings.at(b).content.size() >= kSharedBelow;
      if (copy == 0) dispatch.bindings.emplace_back();
      if (copy == 0 || fresh) dispatch.bindings[next] = place_binding(device, spec, data.bindings.at(b));
      ++next;
    }
    DispatchList list;
    list.set_step_words(static_cast<uint32_t>(data.step.size()));
    list.add(dispatch);
    if (copy == 0) workload.outputs = written_floats(dispatch);
    workload.programs.push_back(device.record(list));
  }
  if (kernel.cost != nullptr) {
    const Cost cost = kernel.cost(data.params, header);
    workload.bytes = cost.bytes;
    workload.flops = cost.flops;
  }
  return workload;
}

std::vector<std::byte> random_floats(Rng& rng, size_t count) {
  return random_words(rng, count * 4, 0x80ffffff80ffffffu, 0x3e8000003e800000u);
}

std::vector<std::byte> random_bf16(Rng& rng, size_t count) {
  return random_words(rng, count * 2, 0x80ff80ff80ff80ffu, 0x3d003d003d003d00u);
}

std::vector<std::byte> random_e4m3(Rng& rng, size_t count) {
  std::vector<std::byte> codes = random_words(rng, count, ~uint64_t{0}, 0);
  for (std::byte& code : codes) {
    if ((code & std::byte{0x7f}) == std::byte{0x7f} || (code & std::byte{0x7f}) == std::byte{0}) code ^= std::byte{1};
  }
  return codes;
}

std::vector<std::byte> random_scales(Rng& rng, size_t count, uint8_t from, uint8_t below) {
  std::vector<std::byte> scales((count + 3) / 4 * 4);
  for (std::byte& scale : scales) scale = static_cast<std::byte>(from + rng.below(below - from));
  return scales;
}

}  // namespace nibble::bench
