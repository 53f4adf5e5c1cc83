// The table of figures that the repository keeps (tests/portability/offline.json), and what must hold of figures.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/offline/report.h"

namespace nibble::offline {

// {"targets": {"navi21": {"compiler": …, "kernels": {"gemm_fp8_f32__portable": {"registers": …, …}, …}}, …}}, a line
// per kernel.
std::string to_json(std::span<const Report> reports);
// Throws kInvalidFile naming `file`.
std::vector<Report> parse_reports(const std::string& text, std::string_view file);

// Sentences about what is wrong with a report by itself, one per finding. Of variants for GPUs: no spills. Variants
// named "gemv…" and "tile…": no arrays in memory; "gemv…": at most 64 VGPRs (AMD) or 72 registers (NVIDIA; 80 for
// "gemv4…"); "tile…": at most 108 VGPRs and on RDNA at least 6 subgroups per SIMD.
std::vector<std::string> broken_gates(const Report& report);

// The same for `found` beside `table`: kernels that one of them lacks, and figures that are worse: fewer waves, or more
// than 10 % (and 16) more instructions or estimated cycles. Empty if the compilers differ.
std::vector<std::string> regressions(const Report& found, const Report& table);

}  // namespace nibble::offline
