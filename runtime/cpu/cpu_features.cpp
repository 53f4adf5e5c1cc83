#include "runtime/cpu/cpu_features.h"

#include <map>

namespace nibble {

CpuIsa detect_cpu_isa() {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vbmi");
  const bool dot = avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
  return dot ? CpuIsa::kAvx512Dot : avx512 ? CpuIsa::kAvx512 : avx2 ? CpuIsa::kAvx2 : CpuIsa::kBaseline;
#else
  return CpuIsa::kBaseline;
#endif
}

std::string_view name_of(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kBaseline:
      return "baseline";
    case CpuIsa::kAvx2:
      return "avx2";
    case CpuIsa::kAvx512:
      return "avx512";
    case CpuIsa::kAvx512Dot:
      return "avx512_dot";
  }
  return "?";
}

CpuIsa cpu_isa_of(const CapabilitySet& capabilities) {
  if (!capabilities.has(Capability::kAvx2)) return CpuIsa::kBaseline;
  if (!capabilities.has(Capability::kAvx512)) return CpuIsa::kAvx2;
  return capabilities.has(Capability::kAvx512Dot) ? CpuIsa::kAvx512Dot : CpuIsa::kAvx512;
}

CapabilitySet capabilities_of(CpuIsa isa) {
  CapabilitySet set;
  if (isa >= CpuIsa::kAvx2) set.add(Capability::kAvx2);
  if (isa >= CpuIsa::kAvx512) set.add(Capability::kAvx512);
  if (isa >= CpuIsa::kAvx512Dot) set.add(Capability::kAvx512Dot);
  return set;
}

std::span<const CpuKernel> cpu_kernels_of(std::string_view kernel) {
  static const std::map<std::string_view, std::vector<CpuKernel>> table = {
#define NIBBLE_KERNEL(name) {#name, cpu_kernels::name()},
#include "shaders/kernels.inc"
#undef NIBBLE_KERNEL
  };
  const auto found = table.find(kernel);
  return found == table.end() ? std::span<const CpuKernel>() : found->second;
}

}  // namespace nibble
