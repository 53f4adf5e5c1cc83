#include "tools/conformance/probe_sets.h"

namespace nibble::conformance {

const std::vector<Probe>& probes() {
  static const std::vector<Probe> all = [] {
    std::vector<Probe> list;
    for (auto* set : {float_probes, special_probes, integer_probes, workgroup_probes, binding_probes, subgroup_probes,
                      matrix_probes, program_probes, large_probes}) {
      for (Probe& probe : set()) list.push_back(std::move(probe));
    }
    return list;
  }();
  return all;
}

const Probe* find_probe(std::string_view name) {
  for (const Probe& probe : probes()) {
    if (probe.spec.name == name) return &probe;
  }
  return nullptr;
}

}  // namespace nibble::conformance
