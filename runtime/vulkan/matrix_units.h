// Matrix units through VK_KHR_cooperative_matrix and VK_KHR_shader_bfloat16, which are younger than the headers and
// compilers about: their structures, whether a device has what kernels use, and their instructions in SPIR-V.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/vulkan/api.h"

namespace nibble::vulkan {

inline constexpr const char* kCooperativeMatrixExtension = "VK_KHR_cooperative_matrix";
inline constexpr const char* kBfloat16Extension = "VK_KHR_shader_bfloat16";
inline constexpr uint32_t kMatrixSubgroup = 32;  // invocations that hold a matrix

// VkPhysicalDeviceCooperativeMatrixFeaturesKHR and VkPhysicalDeviceShaderBfloat16FeaturesKHR under other names, so that
// newer headers do no harm.
struct CooperativeMatrixFeatures {
  VkStructureType sType = static_cast<VkStructureType>(1000506000);
  void* pNext = nullptr;
  VkBool32 cooperativeMatrix = VK_FALSE;
  VkBool32 cooperativeMatrixRobustBufferAccess = VK_FALSE;
};
struct Bfloat16Features {
  VkStructureType sType = static_cast<VkStructureType>(1000141000);
  void* pNext = nullptr;
  VkBool32 shaderBFloat16Type = VK_FALSE;
  VkBool32 shaderBFloat16DotProduct = VK_FALSE;
  VkBool32 shaderBFloat16CooperativeMatrix = VK_FALSE;
};

// Whether subgroups multiply 16x16 matrices of bf16 with sums in f32. The device must have the extension.
bool multiplies_bf16_matrices(VkPhysicalDevice device);

// A module of VK_NV_cooperative_matrix, with f16 matrices of the sizes that shaders/dialect/matrix_units.prelude names,
// as one of VK_KHR_cooperative_matrix with bf16 matrices. A module without matrices comes back as it is. Throws
// kInternal for matrices of other sizes.
std::vector<uint32_t> with_bf16_matrices(std::vector<uint32_t> spirv);

}  // namespace nibble::vulkan
