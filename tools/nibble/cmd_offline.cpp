// nibble offline: compiles the kernels for GPUs that are not here and prints what their compilers say.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "tools/nibble/command.h"
#include "tools/nibble/terminal.h"
#include "tools/offline/compilers.h"
#include "tools/offline/process.h"
#include "tools/offline/table.h"

namespace nibble {
namespace {

struct Flags {
  std::vector<std::string> targets;
  std::string kernel = "*";
  std::string json;
  std::string check;
  std::string update;
  bool wide_cpu = false;
  bool this_process = false;
};

std::vector<const offline::Target*> chosen_targets(const Flags& flags) {
  std::vector<const offline::Target*> targets;
  for (const std::string& name : flags.targets) targets.push_back(&offline::find_target(name));
  if (!targets.empty()) return targets;
  for (const offline::Target& target : offline::all_targets()) targets.push_back(&target);
  return targets;
}

std::vector<offline::Report> compile(const Flags& flags) {
  const std::vector<const offline::Target*> targets = chosen_targets(flags);
  const std::vector<offline::KernelChoice> choices = offline::choose_kernels(flags.kernel, flags.wide_cpu);
  if (flags.this_process) return {offline::compile_in_this_process(*targets.front(), choices)};
  std::vector<offline::Report> reports;
  std::vector<const offline::Target*> nvidia;
  for (const offline::Target* target : targets) {
    if (target->vendor == offline::Vendor::kAmd) {
      reports.push_back(offline::compile_for_amd(*target, flags.kernel, flags.wide_cpu));
    } else if (target->vendor == offline::Vendor::kIntel) {
      reports.push_back(offline::compile_for_intel(*target, choices));
    } else {
      nvidia.push_back(target);
    }
  }
  if (!nvidia.empty()) {
    for (offline::Report& report : offline::compile_for_nvidia(nvidia, choices)) reports.push_back(std::move(report));
  }
  return reports;
}

std::string to_text(const offline::Report& report) {
  if (!report.missing.empty()) return fmt::format("{}: skipped: {}\n\n", report.target, report.missing);
  std::string text = fmt::format("{}: {}\n{:<40}", report.target, report.compiler, "");
  std::vector<std::string_view> columns;
  for (const std::string_view key : offline::kFigures) {
    const bool told = std::ranges::any_of(report.kernels,
                                          [&](const auto& kernel) { return kernel.second.contains(std::string(key)); });
    if (told) columns.push_back(key);
  }
  for (const std::string_view key : columns) text += fmt::format(" {:>{}}", key, std::max<size_t>(8, key.size()));
  text += "\n";
  for (const auto& [name, figures] : report.kernels) {
    text += fmt::format("{:<40}", name);
    for (const std::string_view key : columns) {
      const auto found = figures.find(std::string(key));
      const std::string value = found == figures.end() ? "-" : std::to_string(found->second);
      text += fmt::format(" {:>{}}", value, std::max<size_t>(8, key.size()));
    }
    text += "\n";
  }
  return text + "\n";
}

// Prints what is wrong and throws if anything is.
void check_against(const std::vector<offline::Report>& reports, const std::string& file) {
  const std::vector<offline::Report> table = offline::parse_reports(offline::read_file(file), file);
  size_t problems = 0;
  for (const offline::Report& report : reports) {
    const auto known = std::ranges::find(table, report.target, &offline::Report::target);
    std::string skipped = report.missing;
    if (skipped.empty() && known == table.end()) skipped = "the table has no such target";
    if (skipped.empty() && known->compiler != report.compiler) {
      skipped = fmt::format("the table is of '{}', this is '{}'", known->compiler, report.compiler);
    }
    if (!skipped.empty()) {
      write_stdout(fmt::format("{}: skipped: {}\n", report.target, skipped));
      continue;
    }
    std::vector<std::string> findings = offline::broken_gates(report);
    for (std::string& finding : offline::regressions(report, *known)) findings.push_back(std::move(finding));
    for (const std::string& finding : findings) write_stdout(finding + "\n");
    write_stdout(fmt::format("{}: {} kernels, {} problems\n", report.target, report.kernels.size(), findings.size()));
    problems += findings.size();
  }
  if (problems == 0) return;
  fail(ErrorCode::kInternal, "{} problems; where the new figures are meant to be: nibble offline --update {}", problems,
       file);
}

// Targets that could not be compiled keep what the file says of them.
void update(std::vector<offline::Report> reports, const std::string& file) {
  for (const offline::Report& before : offline::parse_reports(offline::read_file(file), file)) {
    const auto now = std::ranges::find(reports, before.target, &offline::Report::target);
    if (now == reports.end()) {
      reports.push_back(before);
    } else if (!now->missing.empty()) {
      *now = before;
    }
  }
  std::ranges::sort(reports, {}, &offline::Report::target);
  offline::write_file(file, offline::to_json(reports));
}

void run(const Flags& flags) {
  if (!flags.update.empty() && (flags.kernel != "*" || flags.wide_cpu)) {
    fail(ErrorCode::kUsage, "--update wants all kernels for GPUs: leave --kernel and --wide-cpu out");
  }
  const std::vector<offline::Report> reports = compile(flags);
  if (!flags.json.empty()) offline::write_file(flags.json, offline::to_json(reports));
  if (!flags.update.empty()) update(reports, flags.update);
  if (!flags.check.empty()) return check_against(reports, flags.check);
  if (flags.this_process) return;
  for (const offline::Report& report : reports) write_stdout(to_text(report));
  for (const offline::Report& report : reports) {
    for (const std::string& finding : offline::broken_gates(report)) write_stdout(finding + "\n");
  }
}

}  // namespace

void add_offline_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("offline", "Compile the kernels for GPUs that are not here");
  auto flags = std::make_shared<Flags>();
  command->add_option("--target", flags->targets, "Architectures, separated by commas; default: all that are known")
      ->delimiter(',')
      ->type_name("NAME,...");
  command->add_option("--kernel", flags->kernel, "Only kernels or kernel__variant that match this shell pattern")
      ->type_name("GLOB")
      ->capture_default_str();
  command->add_flag("--wide-cpu", flags->wide_cpu, "Also the variants meant for drivers on the host's processor");
  command->add_option("--json", flags->json, "Write the figures to FILE")->type_name("FILE");
  command->add_option("--check", flags->check, "Compare with the table in FILE; fail on spills and regressions")
      ->type_name("FILE");
  command->add_option("--update", flags->update, "Replace the table in FILE")->type_name("FILE");
  command->add_flag("--this-process", flags->this_process, "With the Vulkan driver of this process")->group("");
  command->footer(
      "Nothing is run: registers, occupancy and cycles are what the compilers of RADV, NVIDIA and Intel say.\n"
      "Examples:\n"
      "  nibble offline --target navi21,sm_86 --kernel 'gemm_*'\n"
      "  nibble offline --check tests/portability/offline.json");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
