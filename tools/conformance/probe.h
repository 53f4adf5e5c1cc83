// A probe: one fact about a driver that kernels stand on, as a tiny kernel of its own. Where a kernel fails, the probes
// that fail beside it say why. Constant data; never in the kernel table, so no program of a model can contain one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/kernel_spec.h"
#include "runtime/device/device.h"

namespace nibble::conformance {

struct Probe {
  // Named "probe_<fact>"; its texts are tools/conformance/probes/*.kernel, in Variant::text "probes/<file>.kernel".
  KernelSpec spec;
  std::string_view fact;                       // "f16 denormals survive unpackHalf2x16"
  std::string_view symptom;                    // what kernels do on a driver that breaks it
  std::vector<std::string_view> relied_on_by;  // shell patterns over "kernel__variant"
  // Set where one dispatch does not show the fact: runs in place of the spec's only case, which just gives the row its
  // name, and says what is wrong. `spec` has the kernel that it dispatches.
  std::optional<std::string> (*run)(Device& device, const KernelSpec& spec) = nullptr;
  bool takes_much_memory = false;  // with --full only
};

// In the order in which a report lists them. The processor has no driver to probe: devices of other backends only.
const std::vector<Probe>& probes();
// Null if no probe is called so.
const Probe* find_probe(std::string_view name);

}  // namespace nibble::conformance
