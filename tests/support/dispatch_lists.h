// Made-up kernels and random dispatch lists for tests of what is planned over them; nothing here can be run.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/core/dispatch_list.h"

namespace nibble {

// A kernel with plain bindings of these accesses and no params. The reference lives as long as the process.
const KernelSpec& kernel_with(std::vector<Access> accesses);

Dispatch dispatch_of(std::vector<Access> accesses, std::vector<BufferView> views, std::string label = "test");

// `count` dispatches of one to three bindings over random pieces of the buffers; a dispatch never breaks the rule that
// what it writes overlaps none of its other bindings.
DispatchList random_list(Rng& rng, const std::vector<std::shared_ptr<Buffer>>& buffers, size_t count);

}  // namespace nibble
