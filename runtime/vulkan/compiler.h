// GLSL to SPIR-V 1.3, in process: glslang compiles, SPIRV-Tools optimises and validates. Callable from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble::vulkan {

// `name` is the qualified name of kernel and variant. Throws kInternal with it and the compiler's log: kernel texts are
// part of nibble, so a text that does not compile is a bug of nibble.
std::vector<uint32_t> compile_glsl(std::string_view source, std::string_view name);

// Versions and settings of everything that shapes the output; part of cache keys.
std::string compiler_version();

// Bytes of workgroup memory that a module declares.
uint64_t workgroup_memory_bytes(std::span<const uint32_t> spirv);

}  // namespace nibble::vulkan
