#include "runtime/vulkan/compiler.h"

#include <algorithm>

#include <glslang/Public/ResourceLimits.h>
#include <glslang/Public/ShaderLang.h>
#include <glslang/SPIRV/GlslangToSpv.h>
#include <glslang/SPIRV/spirv.hpp>
#include <glslang/build_info.h>
#include <spirv-tools/libspirv.hpp>
#include <spirv-tools/optimizer.hpp>

#include "runtime/base/error.h"
#include "runtime/vulkan/matrix_units.h"

namespace nibble::vulkan {
namespace {

constexpr spv_target_env kEnvironment = SPV_ENV_VULKAN_1_1;

// glslang keeps tables for the process; they are made once and live as long as it.
class GlslangProcess {
 public:
  GlslangProcess() { glslang::InitializeProcess(); }
  ~GlslangProcess() { glslang::FinalizeProcess(); }
  GlslangProcess(const GlslangProcess&) = delete;
  GlslangProcess& operator=(const GlslangProcess&) = delete;
};

// The compiler's own limits must not stop what the device allows: those are checked against DeviceInfo with names.
TBuiltInResource resources() {
  TBuiltInResource limits = *GetDefaultResources();
  limits.maxComputeWorkGroupSizeX = 65536;
  limits.maxComputeWorkGroupCountX = limits.maxComputeWorkGroupCountY = limits.maxComputeWorkGroupCountZ = 0x7fffffff;
  return limits;
}

std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::vector<uint32_t> run_glslang(std::string_view source, std::string_view name) {
  static const GlslangProcess process;
  const TBuiltInResource limits = resources();
  constexpr auto kMessages = static_cast<EShMessages>(EShMsgSpvRules | EShMsgVulkanRules);

  glslang::TShader shader(EShLangCompute);
  const char* text = source.data();
  const auto length = static_cast<int>(source.size());
  shader.setStringsWithLengths(&text, &length, 1);
  shader.setEnvInput(glslang::EShSourceGlsl, EShLangCompute, glslang::EShClientVulkan, 100);
  shader.setEnvClient(glslang::EShClientVulkan, glslang::EShTargetVulkan_1_1);
  shader.setEnvTarget(glslang::EShTargetSpv, glslang::EShTargetSpv_1_3);
  if (!shader.parse(&limits, 450, false, kMessages)) {
    fail(ErrorCode::kInternal, "kernel {}: GLSL does not compile: {}", name, one_line(shader.getInfoLog()));
  }
  glslang::TProgram program;
  program.addShader(&shader);
  if (!program.link(kMessages)) {
    fail(ErrorCode::kInternal, "kernel {}: GLSL does not link: {}", name, one_line(program.getInfoLog()));
  }
  std::vector<uint32_t> spirv;
  glslang::GlslangToSpv(*program.getIntermediate(EShLangCompute), spirv);
  return spirv;
}

// Calls f(opcode, operands) for every instruction of a module.
template <typename F>
void for_each_instruction(std::span<const uint32_t> spirv, F&& f) {
  constexpr size_t kHeaderWords = 5;
  for (size_t at = kHeaderWords; at < spirv.size();) {
    const size_t words = spirv[at] >> 16;
    if (words == 0 || words > spirv.size() - at) return;
    f(static_cast<spv::Op>(spirv[at] & 0xffffu), spirv.subspan(at + 1, words - 1));
    at += words;
  }
}

}  // namespace

std::vector<uint32_t> compile_glsl(std::string_view source, std::string_view name) {
  const std::vector<uint32_t> plain = run_glslang(source, name);
  std::string log;
  const auto collect = [&log](spv_message_level_t level, const char*, const spv_position_t&, const char* message) {
    if (level <= SPV_MSG_ERROR) log += std::string(message) + "\n";
  };
  spvtools::Optimizer optimizer(kEnvironment);
  optimizer.SetMessageConsumer(collect);
  optimizer.RegisterPerformancePasses();
  std::vector<uint32_t> optimised;
  if (!optimizer.Run(plain.data(), plain.size(), &optimised)) {
    fail(ErrorCode::kInternal, "kernel {}: SPIR-V cannot be optimised: {}", name, one_line(log));
  }
  spvtools::SpirvTools tools(kEnvironment);
  tools.SetMessageConsumer(collect);
  if (!tools.Validate(optimised)) {
    fail(ErrorCode::kInternal, "kernel {}: SPIR-V is not valid: {}", name, one_line(log));
  }
  return with_bf16_matrices(std::move(optimised));
}

std::string compiler_version() {
  return fmt::format("glslang {}.{}.{} generator {}, {}, Vulkan 1.1, SPIR-V 1.3, performance passes, bf16 matrices",
                     GLSLANG_VERSION_MAJOR, GLSLANG_VERSION_MINOR, GLSLANG_VERSION_PATCH,
                     glslang::GetSpirvGeneratorVersion(), spvSoftwareVersionDetailsString());
}

uint64_t workgroup_memory_bytes(std::span<const uint32_t> spirv) {
  // Ids index a table whose length the header gives; types are declared before they are used.
  if (spirv.size() < 4) return 0;
  const size_t ids = spirv[3];
  std::vector<uint64_t> value(ids);    // of 32-bit constants
  std::vector<uint64_t> bytes(ids);    // of types
  std::vector<uint32_t> pointee(ids);  // of pointer types
  uint64_t total = 0;
  for_each_instruction(spirv, [&](spv::Op op, std::span<const uint32_t> operand) {
    switch (op) {
      case spv::OpTypeInt:
      case spv::OpTypeFloat:
        bytes.at(operand[0]) = operand[1] / 8;
        break;
      case spv::OpTypeVector:
        bytes.at(operand[0]) = bytes.at(operand[1]) * operand[2];
        break;
      case spv::OpConstant:
        value.at(operand[1]) = operand[2];
        break;
      case spv::OpTypeArray:
        bytes.at(operand[0]) = bytes.at(operand[1]) * value.at(operand[2]);
        break;
      case spv::OpTypePointer:
        pointee.at(operand[0]) = operand[2];
        break;
      case spv::OpVariable:
        if (operand[2] == spv::StorageClassWorkgroup) total += bytes.at(pointee.at(operand[0]));
        break;
      default:
        break;
    }
  });
  return total;
}

}  // namespace nibble::vulkan
