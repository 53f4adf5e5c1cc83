#include <filesystem>

#include "runtime/base/error.h"
#include "runtime/core/variant.h"
#include "tools/offline/compilers.h"
#include "tools/offline/process.h"

namespace nibble::offline {
namespace {

// ocloc answers into a file of the current folder, with the closing 0 of a C string.
std::string ocloc_version() {
  const ScratchFolder scratch;
  run_process({"env", "-C", scratch.path_of(""), "ocloc", "query", "OCL_DRIVER_VERSION"});
  return read_file(scratch.path_of("OCL_DRIVER_VERSION")).c_str();
}

// The compiler's assembly dump; several where it tried more than one subgroup size: it keeps the widest that it wrote.
std::string read_assembly(const std::filesystem::path& folder) {
  std::string best;
  std::string best_name;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".asm") || name.find("_simd") == name.npos || name <= best_name) continue;
    best_name = name;
    best = "simd" + name.substr(name.find("_simd") + 5) + "\n" + read_file(entry.path().string());
  }
  return best;
}

Figures compile(const KernelChoice& choice, std::string_view target, const std::string& source) {
  const std::string name = qualified_name(*choice.kernel, *choice.variant);
  const ScratchFolder scratch;
  const std::string text = scratch.path_of("kernel.cl");
  const std::string dump = scratch.path_of("dump");
  std::filesystem::create_directory(dump);
  write_file(text, source);
  const auto result = run_process({"ocloc", "compile", "-file", text, "-device", std::string(target), "-out_dir",
                                   scratch.path_of("out"), "-options", "-cl-std=CL1.2"},
                                  {{"IGC_ShaderDumpEnable", "1"}, {"IGC_DumpToCustomDir", dump}});
  if (result.exit_code != 0) {
    fail(ErrorCode::kInternal, "kernel {}: ocloc ends with code {}: {}", name, result.exit_code, result.output);
  }
  const std::string assembly = read_assembly(dump);
  Figures figures;
  figures["spills"] = number_after(assembly, "//.spill size ");
  figures["instructions"] = number_after(assembly, "//.instCount ");
  figures["simd"] = number_after(assembly, "simd");
  return figures;
}

}  // namespace

Report compile_for_intel(const Target& target, std::span<const KernelChoice> choices) {
  Report report{.target = std::string(target.name)};
  if (!find_program("ocloc")) {
    report.missing = "no ocloc (Debian: intel-opencl-icd)";
    return report;
  }
  report.compiler = "ocloc " + ocloc_version();
  for (const KernelChoice& choice : choices) {
    const std::string source = opencl_source(choice);
    if (source.empty()) continue;
    report.kernels[qualified_name(*choice.kernel, *choice.variant)] = compile(choice, target.name, source);
  }
  return report;
}

}  // namespace nibble::offline
