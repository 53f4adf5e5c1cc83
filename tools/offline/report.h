// What offline compilers say about kernels, on GPUs that need not be there. Plain data.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/kernel_spec.h"

namespace nibble::offline {

enum class Vendor { kAmd, kNvidia, kIntel };

// `name` is what the vendor's compiler calls the architecture.
struct Target {
  std::string_view name;
  Vendor vendor;
  bool is_rdna = false;
};

std::span<const Target> all_targets();
// Throws kUsage naming the known ones.
const Target& find_target(std::string_view name);

struct KernelChoice {
  const KernelSpec* kernel = nullptr;
  const Variant* variant = nullptr;
};

// Every variant whose kernel's or qualified name matches a shell pattern; those for drivers that run on the host's
// processor only where `wide_cpu` is set.
std::vector<KernelChoice> choose_kernels(const std::string& pattern, bool wide_cpu);

// Keys are those of kFigures; a compiler that does not tell one leaves it out.
using Figures = std::map<std::string, int64_t>;

// Of one kernel on one target. registers: per invocation. scratch: bytes per invocation outside of registers, spills
// included. shared: bytes of workgroup memory. waves: subgroups per SIMD (AMD) or multiprocessor (NVIDIA) that fit by
// registers and workgroup memory. inverse: RADV's estimate of cycles per subgroup when many run, memory aside.
inline constexpr std::string_view kFigures[] = {"registers", "scalar_registers", "spills", "scratch", "shared", "waves",
                                                "simd",      "instructions",     "inverse"};

struct Report {
  std::string target;
  std::string compiler;                    // name and version: figures of another one are not comparable
  std::string missing;                     // why nothing was compiled; empty if it was
  std::map<std::string, Figures> kernels;  // by qualified name
};

}  // namespace nibble::offline
