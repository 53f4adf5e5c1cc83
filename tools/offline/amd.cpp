#include <filesystem>

#include "runtime/base/error.h"
#include "runtime/core/variant.h"
#include "runtime/vulkan/statistics.h"
#include "tools/offline/compilers.h"
#include "tools/offline/process.h"
#include "tools/offline/table.h"

namespace nibble::offline {
namespace {

// The driver's manifest carries the architecture of the host in its name.
std::string radv_manifest() {
  for (const char* folder : {"/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"}) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      if (entry.path().filename().string().starts_with("radeon_icd")) return entry.path().string();
    }
  }
  return "";
}

Figures figures_of(const std::vector<vulkan::CompilerStatistic>& statistics) {
  Figures figures;
  for (const vulkan::CompilerStatistic& s : statistics) {
    const auto value = static_cast<int64_t>(s.value);
    if (s.name == "VGPRs") figures["registers"] = value;
    if (s.name == "SGPRs") figures["scalar_registers"] = value;
    if (s.name == "Spilled VGPRs" || s.name == "Spilled SGPRs") figures["spills"] += value;
    if (s.name == "Scratch size") figures["scratch"] = value;
    if (s.name == "LDS size") figures["shared"] = value;
    if (s.name == "Subgroups per SIMD") figures["waves"] = value;
    if (s.name == "Instructions") figures["instructions"] = value;
    if (s.name == "Inverse Throughput") figures["inverse"] = value;
  }
  return figures;
}

}  // namespace

Report compile_in_this_process(const Target& target, std::span<const KernelChoice> choices) {
  vulkan::StatisticsCompiler compiler;
  const DeviceInfo& info = compiler.info();
  Report report{.target = std::string(target.name),
                .compiler = fmt::format("{} {}", info.driver, info.driver_version),
                .missing = "",
                .kernels = {}};
  for (const KernelChoice& choice : choices) {
    if (!is_supported(*choice.variant, info)) continue;
    report.kernels[qualified_name(*choice.kernel, *choice.variant)] =
        figures_of(compiler.compile(*choice.kernel, *choice.variant));
  }
  return report;
}

Report compile_for_amd(const Target& target, const std::string& pattern, bool wide_cpu) {
  const std::string manifest = radv_manifest();
  Report report{.target = std::string(target.name)};
  if (manifest.empty()) {
    report.missing = "no RADV driver (Debian: mesa-vulkan-drivers)";
    return report;
  }
  const ScratchFolder scratch;
  const std::string json = scratch.path_of("report.json");
  std::vector<std::string> arguments = {std::filesystem::read_symlink("/proc/self/exe").string(),
                                        "offline",
                                        "--this-process",
                                        "--target",
                                        report.target,
                                        "--kernel",
                                        pattern,
                                        "--json",
                                        json};
  if (wide_cpu) arguments.emplace_back("--wide-cpu");
  const ProcessResult result = run_process(arguments, {{"RADV_FORCE_FAMILY", report.target},
                                                       {"VK_ICD_FILENAMES", manifest},
                                                       {"VK_DRIVER_FILES", manifest},
                                                       {"MESA_SHADER_CACHE_DISABLE", "true"}});
  if (result.exit_code != 0) {
    fail(ErrorCode::kDevice, "{}: RADV's null device ended with code {}: {}", target.name, result.exit_code,
         result.output);
  }
  return parse_reports(read_file(json), json).at(0);
}

}  // namespace nibble::offline
