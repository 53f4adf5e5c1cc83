// What the fault layer exports beside the loader's interface.
#pragma once

#include <cstdint>
#include <vector>

namespace nibble::faults {

// Sees every shader module before the driver does, and may change it. Set through the exported function
// nibble_fault_layer_set_module_hook(ModuleHook), found by dlsym in a program that has the layer loaded.
using ModuleHook = void (*)(std::vector<uint32_t>& words);

}  // namespace nibble::faults
