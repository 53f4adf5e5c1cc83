// Problems of real size for every kernel of the table: shapes of DeepSeek-V4-Flash, random inputs, and what of a shape
// may be changed by name.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bench/workload.h"

namespace nibble::bench {

struct ProblemRequest {
  uint32_t tokens = 1;
  uint32_t position = 4095;  // of the first token: completes compressed entries of every ratio
  std::map<std::string, double, std::less<>> overrides;  // params by name
};

// One shape of one kernel. `make` gives params, step and contents; sizes follow from the params.
struct ProblemShape {
  std::string name;  // "wq_b"
  std::function<CaseData(const KernelSpec& kernel, const ProblemRequest& request, Rng& rng)> make;
};

// Empty for a kernel nobody wrote a problem for, and for the experts, which moe_problem.h builds.
const std::vector<ProblemShape>& problem_shapes(std::string_view kernel);

// Registered by family; each in a file of its own.
using ProblemTable = std::map<std::string, std::vector<ProblemShape>, std::less<>>;
void add_gemm_problems(ProblemTable& table);
void add_attention_problems(ProblemTable& table);
void add_small_problems(ProblemTable& table);

// `defaults` with the overrides that this kernel has.
std::vector<std::byte> overridden(std::vector<std::byte> defaults, const KernelSpec& kernel,
                                  const ProblemRequest& request);

// "wq_b rows=32768,cols=1024": the params that are sizes.
std::string describe_params(const KernelSpec& kernel, std::span<const std::byte> params);

// A device's programs for one problem: inputs are uploaded as often as it takes for all copies together to exceed
// `cold_bytes`, once where one is below a MiB.
Workload place_problem(Device& device, const KernelSpec& kernel, const CaseData& data, uint64_t cold_bytes);

// Fast, random, never zero.
std::vector<std::byte> random_floats(Rng& rng, size_t count);  // magnitudes from 0.25 to 1
std::vector<std::byte> random_bf16(Rng& rng, size_t count);    // magnitudes from 2^-6 to 2^-4
std::vector<std::byte> random_e4m3(Rng& rng, size_t count);    // any but NaN
std::vector<std::byte> random_scales(Rng& rng, size_t count, uint8_t from, uint8_t below);

}  // namespace nibble::bench
