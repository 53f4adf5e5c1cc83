#include "runtime/vulkan/matrix_units.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string_view>

#include <glslang/SPIRV/spirv.hpp>

#include "runtime/base/error.h"

namespace nibble::vulkan {
namespace {

// VkCooperativeMatrixPropertiesKHR.
struct MatrixProperties {
  VkStructureType sType = static_cast<VkStructureType>(1000506001);
  void* pNext = nullptr;
  uint32_t m = 0;
  uint32_t n = 0;
  uint32_t k = 0;
  uint32_t a_type = 0;
  uint32_t b_type = 0;
  uint32_t c_type = 0;
  uint32_t result_type = 0;
  VkBool32 saturates = VK_FALSE;
  uint32_t scope = 0;
};
// Values of VkComponentTypeKHR and VkScopeKHR.
constexpr uint32_t kF32 = 1;
constexpr uint32_t kBf16 = 1000141000;
constexpr uint32_t kSubgroupScope = 3;

// Numbers of SPV_KHR_cooperative_matrix and SPV_KHR_bfloat16.
constexpr uint32_t kTypeMatrix = 4456;
constexpr uint32_t kLoad = 4457;
constexpr uint32_t kStore = 4458;
constexpr uint32_t kMultiplyAdd = 4459;
constexpr uint32_t kMatrixCapability = 6022;
constexpr uint32_t kBf16Capability = 5116;
constexpr uint32_t kBf16MatrixCapability = 5118;
constexpr uint32_t kBf16Encoding = 0;
enum Use : uint32_t { kUseA = 0, kUseB = 1, kUseSum = 2 };
enum Layout : uint32_t { kRowMajor = 0, kColumnMajor = 1 };

constexpr size_t kHeaderWords = 5;
constexpr size_t kIdBound = 3;

class Rewriter {
 public:
  explicit Rewriter(std::vector<uint32_t> spirv) : from_(std::move(spirv)) {}

  std::vector<uint32_t> run() {
    if (!learn()) return std::move(from_);
    to_.assign(from_.begin(), from_.begin() + kHeaderWords);
    for (uint32_t& id : numbers_) id = to_[kIdBound]++;
    for_each([&](spv::Op op, std::span<const uint32_t> operands) { rewrite(op, operands); });
    return std::move(to_);
  }

 private:
  template <typename F>
  void for_each(F&& f) const {
    for (size_t at = kHeaderWords; at < from_.size();) {
      const size_t words = from_[at] >> 16;
      f(static_cast<spv::Op>(from_[at] & 0xffffu), std::span(from_).subspan(at + 1, words - 1));
      at += words;
    }
  }

  void emit(uint32_t op, std::vector<uint32_t> operands) {
    to_.push_back(static_cast<uint32_t>(operands.size() + 1) << 16 | op);
    to_.insert(to_.end(), operands.begin(), operands.end());
  }

  // Text as SPIR-V has it: bytes, a zero at the end, whole words.
  void emit_extension(std::string_view name) {
    std::vector<uint32_t> words(name.size() / 4 + 1, 0);
    std::memcpy(words.data(), name.data(), name.size());
    emit(spv::OpExtension, words);
  }

  // Which sizes and constants there are; false where there are no matrices.
  bool learn() {
    bool has_matrices = false;
    for_each([&](spv::Op op, std::span<const uint32_t> o) {
      has_matrices |= op == spv::OpTypeCooperativeMatrixNV;
      if (op == spv::OpDecorate && o[1] == spv::DecorationSpecId) size_of_[o[0]] = o[2];
      if (op == spv::OpConstantTrue) columns_first_[o[1]] = true;
      if (op == spv::OpConstantFalse) columns_first_[o[1]] = false;
    });
    return has_matrices;
  }

  Use use_of(uint32_t rows, uint32_t columns) const {
    const auto is = [&](uint32_t id, uint32_t size) { return size_of_.contains(id) && size_of_.at(id) == size; };
    constexpr uint32_t kM = 0, kN = 1, kK = 2;
    if (is(rows, kM) && is(columns, kK)) return kUseA;
    if (is(rows, kK) && is(columns, kN)) return kUseB;
    if (is(rows, kM) && is(columns, kN)) return kUseSum;
    fail(ErrorCode::kInternal, "a matrix of sizes that matrix_units.prelude does not name");
  }

  uint32_t layout(uint32_t is_column_major) const {
    return numbers_[columns_first_.at(is_column_major) ? kColumnMajor : kRowMajor];
  }

  void rewrite(spv::Op op, std::span<const uint32_t> o) {
    const auto rest = [&](std::vector<uint32_t> operands, size_t from) {
      operands.insert(operands.end(), o.begin() + static_cast<ptrdiff_t>(from), o.end());
      return operands;
    };
    switch (op) {
      case spv::OpCapability:
        if (o[0] == spv::CapabilityFloat16) return;  // of the f16 that there is no more
        if (o[0] != spv::CapabilityCooperativeMatrixNV) break;
        for (const uint32_t capability : {kMatrixCapability, kBf16Capability, kBf16MatrixCapability}) {
          emit(spv::OpCapability, {capability});
        }
        return;
      case spv::OpExtension:
        if (std::string_view(reinterpret_cast<const char*>(o.data())) != "SPV_NV_cooperative_matrix") break;
        emit_extension("SPV_KHR_cooperative_matrix");
        emit_extension("SPV_KHR_bfloat16");
        return;
      case spv::OpTypeFloat:
        if (o[1] == 16) return emit(op, {o[0], o[1], kBf16Encoding});
        break;
      case spv::OpTypeInt:
        emit(op, rest({}, 0));
        if (o[1] != 32 || o[2] != 0) return;
        for (uint32_t value = 0; value < numbers_.size(); ++value)
          emit(spv::OpConstant, {o[0], numbers_[value], value});
        return;
      case spv::OpTypeCooperativeMatrixNV:
        return emit(kTypeMatrix, {o[0], o[1], o[2], o[3], o[4], numbers_[use_of(o[3], o[4])]});
      case spv::OpCooperativeMatrixLoadNV:
        return emit(kLoad, rest({o[0], o[1], o[2], layout(o[4]), o[3]}, 5));
      case spv::OpCooperativeMatrixStoreNV:
        return emit(kStore, rest({o[0], o[1], layout(o[3]), o[2]}, 4));
      case spv::OpCooperativeMatrixMulAddNV:
        return emit(kMultiplyAdd, rest({}, 0));
      default:
        break;
    }
    emit(op, rest({}, 0));
  }

  std::vector<uint32_t> from_;
  std::vector<uint32_t> to_;
  std::map<uint32_t, uint32_t> size_of_;    // by id: which of the sizes a specialisation constant is
  std::map<uint32_t, bool> columns_first_;  // by id: the truth constants, which say so of a load or store
  std::array<uint32_t, 3> numbers_ = {};    // ids of the constants 0, 1 and 2
};

}  // namespace

bool multiplies_bf16_matrices(VkPhysicalDevice device) {
  using Query = VkResult(VKAPI_PTR*)(VkPhysicalDevice, uint32_t*, MatrixProperties*);
  const auto query = reinterpret_cast<Query>(
      vkGetInstanceProcAddr(volkGetLoadedInstance(), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  if (query == nullptr) return false;
  uint32_t count = 0;
  check_result(query(device, &count, nullptr), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
  std::vector<MatrixProperties> all(count);
  check_result(query(device, &count, all.data()), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
  return std::any_of(all.begin(), all.end(), [](const MatrixProperties& p) {
    return p.m == 16 && p.n == 16 && p.k == 16 && p.a_type == kBf16 && p.b_type == kBf16 && p.c_type == kF32 &&
           p.result_type == kF32 && p.scope == kSubgroupScope;
  });
}

std::vector<uint32_t> with_bf16_matrices(std::vector<uint32_t> spirv) { return Rewriter(std::move(spirv)).run(); }

}  // namespace nibble::vulkan
