#include <elf.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "runtime/base/error.h"
#include "runtime/core/variant.h"
#include "tools/offline/compilers.h"
#include "tools/offline/process.h"

namespace nibble::offline {
namespace {

constexpr const char* kLibclc = "/usr/lib/clc/nvptx64--nvidiacl.bc";

std::string first_missing_part() {
  if (!find_program("clang-14")) return "no clang-14";
  if (!std::filesystem::exists(kLibclc)) return fmt::format("no {} (Debian: libclc-14)", kLibclc);
  if (!find_program("ptxas")) return "no ptxas (CUDA toolkit, or PyPI: nvidia-cuda-nvcc)";
  return "";
}

// What each version of ptxas dropped or does not know yet it names nowhere but in its help.
bool knows(const std::string& ptxas_help, std::string_view target) {
  return ptxas_help.find(fmt::format("'{}'", target)) != std::string::npos;
}

std::string ptxas_version() {
  const std::string text = run_process({"ptxas", "--version"}).output;
  const size_t at = text.find("release ");
  const std::string release = at == text.npos ? "?" : text.substr(at, text.find(',', at) - at);
  return "clang-14, ptxas " + release;
}

void expect_success(const ProcessResult& result, const std::string& kernel, std::string_view compiler) {
  if (result.exit_code == 0) return;
  fail(ErrorCode::kInternal, "kernel {}: {} ends with code {}: {}", kernel, compiler, result.exit_code, result.output);
}

void write_ptx(const KernelChoice& choice, const std::string& source, const std::string& ptx) {
  const std::string text = ptx + ".cl";
  write_file(text, source);
  const auto result = run_process({"clang-14",
                                   "-target",
                                   "nvptx64-nvidia-cuda",
                                   "-x",
                                   "cl",
                                   "-cl-std=CL1.2",
                                   "-O3",
                                   "-Xclang",
                                   "-finclude-default-header",
                                   "-Xclang",
                                   "-mlink-builtin-bitcode",
                                   "-Xclang",
                                   kLibclc,
                                   "-Xclang",
                                   "-target-cpu",
                                   "-Xclang",
                                   "sm_75",
                                   "-S",
                                   text,
                                   "-o",
                                   ptx});
  expect_success(result, qualified_name(*choice.kernel, *choice.variant), "clang-14");
}

// Bytes of the machine code in a cubin, which is an ELF file with a section ".text.<kernel>".
int64_t code_bytes(const std::string& cubin) {
  Elf64_Ehdr header;
  if (cubin.size() < sizeof(header)) return 0;
  std::memcpy(&header, cubin.data(), sizeof(header));
  const auto section = [&](size_t index) {
    Elf64_Shdr found{};
    const size_t at = header.e_shoff + index * sizeof(found);
    if (at + sizeof(found) <= cubin.size()) std::memcpy(&found, cubin.data() + at, sizeof(found));
    return found;
  };
  const Elf64_Shdr names = section(header.e_shstrndx);
  for (size_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr s = section(i);
    const size_t at = names.sh_offset + s.sh_name;
    if (at < cubin.size() && std::string_view(cubin).substr(at).starts_with(".text.")) {
      return static_cast<int64_t>(s.sh_size);
    }
  }
  return 0;
}

// Subgroups of 32 that fit on a multiprocessor: 64 Ki registers given out by 256 per subgroup, and per architecture so
// many subgroups, workgroups and KiB of workgroup memory. Source: CUDA C++ programming guide, technical specifications.
int64_t waves_of(std::string_view target, uint32_t workgroup, const Figures& figures) {
  struct Limits {
    std::string_view target;
    int64_t subgroups;
    int64_t workgroups;
    int64_t shared_kib;
  };
  constexpr Limits kLimits[] = {{"sm_75", 32, 16, 64}, {"sm_86", 48, 16, 100}, {"sm_90", 64, 32, 228}};
  const Limits& limits = *std::ranges::find(kLimits, target, &Limits::target);
  const int64_t per_workgroup = (workgroup + 31) / 32;
  const int64_t registers = (figures.at("registers") * 32 + 255) / 256 * 256;
  int64_t workgroups = std::min(limits.workgroups, limits.subgroups / per_workgroup);
  workgroups = std::min(workgroups, 65536 / registers / per_workgroup);
  if (figures.at("shared") > 0) workgroups = std::min(workgroups, limits.shared_kib * 1024 / figures.at("shared"));
  return workgroups * per_workgroup;
}

Figures compile_ptx(const KernelChoice& choice, std::string_view target, const std::string& ptx) {
  const std::string cubin = ptx + ".cubin";
  const auto result = run_process({"ptxas", "-v", fmt::format("-arch={}", target), ptx, "-o", cubin});
  expect_success(result, qualified_name(*choice.kernel, *choice.variant), "ptxas");
  const std::string& log = result.output;
  Figures figures;
  figures["registers"] = number_after(log, "Used ");
  figures["scratch"] = number_before(log, " bytes stack frame");
  figures["spills"] = number_before(log, " bytes spill stores") + number_before(log, " bytes spill loads");
  figures["shared"] = number_before(log, " bytes smem");
  figures["instructions"] = code_bytes(read_file(cubin)) / 16;
  figures["waves"] = waves_of(target, choice.variant->workgroup, figures);
  return figures;
}

}  // namespace

std::vector<Report> compile_for_nvidia(std::span<const Target* const> targets, std::span<const KernelChoice> choices) {
  std::vector<Report> reports;
  const std::string missing = first_missing_part();
  const std::string help = missing.empty() ? run_process({"ptxas", "--help"}).output : "";
  for (const Target* target : targets) {
    Report report{.target = std::string(target->name)};
    report.missing = missing;
    if (missing.empty()) report.compiler = ptxas_version();
    if (missing.empty() && !knows(help, target->name)) report.missing = report.compiler + " does not know it";
    reports.push_back(std::move(report));
  }
  const ScratchFolder scratch;
  for (const KernelChoice& choice : choices) {
    const std::string source = opencl_source(choice);
    if (!missing.empty() || source.empty()) continue;
    const std::string name = qualified_name(*choice.kernel, *choice.variant);
    const std::string ptx = scratch.path_of(name + ".ptx");
    write_ptx(choice, source, ptx);
    for (Report& report : reports) {
      if (report.missing.empty()) report.kernels[name] = compile_ptx(choice, report.target, ptx);
    }
  }
  return reports;
}

}  // namespace nibble::offline
