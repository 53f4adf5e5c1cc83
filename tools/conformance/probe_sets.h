// The probes by what they are about, and what their specs share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "shaders/common/spec_util.h"
#include "tools/conformance/probe.h"

namespace nibble::conformance {

std::vector<Probe> float_probes();      // arithmetic of f32, one result at a time
std::vector<Probe> special_probes();    // f32 where it is not arithmetic: extremes, infinities, NaN, denormals, f16
std::vector<Probe> integer_probes();    // arithmetic of 32-bit words and conversions
std::vector<Probe> workgroup_probes();  // workgroup memory, barriers, indices, control flow
std::vector<Probe> binding_probes();    // how memory, params and step words reach a kernel
std::vector<Probe> subgroup_probes();
std::vector<Probe> matrix_probes();
std::vector<Probe> program_probes();  // several dispatches, replays, transfers
std::vector<Probe> large_probes();    // buffers of gigabytes

// ---- probes that run programs of their own -------------------------------------------------------------------------

std::vector<uint32_t> download(Device& device, const BufferView& view);
// Submits, and waits for it.
void run_step(Device& device, Program& program, const std::vector<uint32_t>& step = {});

// ---- kernels with an invocation per element -----------------------------------------------------------------------

struct ElementParams {
  uint32_t n = 0;
};

Cost no_cost(std::span<const std::byte>, const StepHeader&);

inline BindingSpec input(std::string_view name, ElementType type) {
  return {name, type, Access::kRead, BindingKind::kBuffer, "[n]"};
}
inline BindingSpec output(std::string_view name, ElementType type) {
  return {name, type, Access::kWrite, BindingKind::kBuffer, "[n, …]"};
}

// A spec whose params begin with n and whose grid is ceil(n / 64).
struct ElementProbe {
  std::string_view name;
  std::string_view text;
  std::string_view formula;
  std::vector<BindingSpec> bindings;
  std::vector<KernelCase> (*cases)() = nullptr;
  std::vector<Expected> (*reference)(const CaseData& data) = nullptr;
  Tolerance tolerance = {.eps = 0, .why = "exact"};
  std::vector<ParamSpec> more_params = {};
};
KernelSpec per_element(ElementProbe probe);

// Inputs as words; `outputs` are the words of each output.
CaseData element_case(uint32_t n, const std::vector<std::vector<uint32_t>>& inputs, const std::vector<size_t>& outputs,
                      const std::vector<uint32_t>& more_params = {});

std::vector<uint32_t> bits_of(const std::vector<float>& values);
std::vector<float> floats_in(const CaseData& data, size_t binding);
std::vector<uint32_t> words_in(const CaseData& data, size_t binding);

// `count` floats of magnitude 2^low … 2^high, of both signs.
std::vector<float> wide_floats(Rng& rng, size_t count, int low, int high);
std::vector<uint32_t> random_words(Rng& rng, size_t count);

// An expectation for words of which each must be one of two values.
Expected either(size_t binding, std::vector<uint32_t> one, std::vector<uint32_t> other);

}  // namespace nibble::conformance
