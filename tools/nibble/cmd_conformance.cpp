// nibble conformance: every kernel, variant and case on every device, beside the reference and what is known of the
// driver.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/output_file.h"
#include "runtime/device/select_device.h"
#include "tools/conformance/bisect.h"
#include "tools/conformance/conformance.h"
#include "tools/conformance/expected.h"
#include "tools/conformance/job.h"
#include "tools/nibble/command.h"
#include "tools/nibble/options.h"
#include "tools/nibble/program_end.h"
#include "tools/nibble/terminal.h"
#include "tools/offline/process.h"

namespace nibble {
namespace {

struct Flags {
  DeviceFlags device;
  std::vector<std::string> devices = {"all"};
  conformance::RunOptions run;
  conformance::ExpectedSource expected;
  bool is_quick = false;
  bool is_bisecting = false;
  std::string json;
  std::string html;
  bool is_markdown = false;
  std::string update;
};

void write_reports(const conformance::Report& report, const Flags& flags) {
  if (!flags.json.empty()) offline::write_file(flags.json, conformance::dump(to_json(report), 1) + "\n");
  if (!flags.html.empty()) offline::write_file(flags.html, to_html(report));
  write_stdout(flags.is_markdown ? to_markdown(report) : to_text(report));
}

// Which drivers do not even survive being loaded. Children inherit that they are left out.
std::vector<std::string> check_drivers(conformance::RunOptions& options) {
  std::vector<std::string> dead;
  for (const BackendKind api : {BackendKind::kVulkan, BackendKind::kOpenCl}) {
    const auto means = [&](const std::string& name) { return may_mean(name, api); };
    if (!options.devices.empty() && std::ranges::none_of(options.devices, means)) continue;
    try {
      for (const std::string& line : options.device_options.check_drivers(api, options.device_options)) {
        dead.push_back(fmt::format("{}: {}", name_of(api), line));
      }
    } catch (const Error& error) {
      dead.push_back(fmt::format("{}: {}", name_of(api), error.what()));
    }
  }
  return dead;
}

conformance::Report run_with_progress(const conformance::RunOptions& options, const std::vector<std::string>& dead) {
  ProgressBar bar("conformance");
  try {
    return conformance::run(
        options, [&](const conformance::DeviceReport&, size_t done, size_t total) { bar.update(done, total); });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound || dead.empty()) throw;
    fail(ErrorCode::kNotFound, "{}; {}", error.what(), fmt::join(dead, "; "));
  }
}

// Silence is no success: neither that of drivers which died before the first case, nor that of a run without cases.
void require_tests(const conformance::Report& report, const conformance::RunOptions& options,
                   const std::vector<std::string>& dead) {
  size_t tested = 0;
  for (const conformance::DeviceReport& device : report.devices) {
    tested += device.rows.size() - device.count(conformance::Verdict::kUnsupported) -
              device.count(conformance::Verdict::kSkipped);
  }
  if (options.devices.empty() && !dead.empty()) {
    fail(ErrorCode::kDevice, "not tested, for they cannot be loaded: {}", fmt::join(dead, "; "));
  }
  for (const std::string& line : dead) warn("{}", line);
  if (tested == 0) {
    fail(ErrorCode::kDevice, "nothing was tested: no case of '{}' can run on {}", options.plan.kernel,
         options.devices.empty() ? "any device" : fmt::format("{}", fmt::join(options.devices, ", ")));
  }
}

void run(Flags flags) {
  if (!flags.update.empty() && flags.run.plan.kernel != "*") {
    fail(ErrorCode::kUsage, "--update-expected wants all kernels: leave --kernel out");
  }
  if (!flags.run.walk.directory.empty() && !flags.run.repro_directory.empty()) {
    fail(ErrorCode::kUsage, "--repro writes cases of kernels run by themselves: leave --model out");
  }
  if (!flags.run.walk.directory.empty() && (flags.is_bisecting || flags.run.is_reducing)) {
    fail(ErrorCode::kUsage, "--bisect and --reduce run kernels by themselves: leave --model out");
  }
  if (!flags.run.walk.directory.empty() && (flags.run.plan.kernel != "*" || !flags.update.empty())) {
    fail(ErrorCode::kUsage, "--model runs the kernels that the model needs: leave --kernel and --update-expected out");
  }
  for (const std::string& path : {flags.json, flags.html}) {
    if (!path.empty()) require_output(path, {flags.run.walk.directory});
  }
  flags.run.device_options = device_options(flags.device);
  const bool is_restricted = !flags.run.device_options.disabled.empty() || !flags.run.device_options.limits.empty();
  if (!flags.update.empty() && is_restricted) {
    fail(ErrorCode::kUsage, "--update-expected wants whole devices: leave --disable and --limit out");
  }
  if (flags.devices != std::vector<std::string>{"all"}) flags.run.devices = flags.devices;
  const std::vector<std::string> dead = check_drivers(flags.run);
  conformance::Report report = run_with_progress(flags.run, dead);
  report.nibble_version = NIBBLE_VERSION;
  for (conformance::DeviceReport& device : report.devices) {
    if (!flags.update.empty()) update_expectations(device, flags.update);
    judge(device,
          load_expectations(
              flags.update.empty() ? flags.expected : conformance::ExpectedSource{.directory = flags.update},
              device.label),
          is_restricted);
  }
  if (flags.is_bisecting) bisect(report, flags.run);
  write_reports(report, flags);
  const size_t unexpected = report.unexpected();
  if (unexpected > 0) fail(ErrorCode::kDevice, "{} rows are not as expected", unexpected);
  require_tests(report, flags.run, dead);
}

// What a child of `nibble conformance` runs; not for people.
[[noreturn]] void work() {
  const std::string text(std::istreambuf_iterator<char>(std::cin), {});
  const int exit_code = conformance::work(conformance::parse_job(text));
  work_is_done(exit_code);
  std::exit(exit_code);
}

// Which rows of which devices.
void add_row_options(CLI::App& command, Flags& flags) {
  command.add_option("-d,--device", flags.devices, "Devices as in `nibble devices`, separated by commas, or all")
      ->delimiter(',')
      ->type_name("NAME,...")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->capture_default_str();
  command
      .add_option("--kernel", flags.run.plan.kernel,
                  "Only kernels, kernel__variants or probes that match this shell pattern")
      ->type_name("GLOB")
      ->capture_default_str();
  auto* quick = command.add_flag("--quick", flags.is_quick, "At most five cases of each variant (the default)");
  command.add_flag("--full", flags.run.plan.full, "All cases with three seeds, every case three times")
      ->excludes(quick);
  command.add_option("--seed", flags.run.plan.seed, "Of the cases' inputs")
      ->type_name("S")
      ->check(whole_number_of_64_bits())
      ->capture_default_str();
  command
      .add_option("--time-limit", flags.run.case_seconds,
                  "Seconds after which a case hangs (default: 20, with --full 60; software drivers 5, simulators 30 "
                  "times that)")
      ->type_name("SECONDS")
      ->check(number_from_to(0.1, 86400));
}

void add_report_options(CLI::App& command, Flags& flags) {
  const std::string heading = "Report";
  command
      .add_flag("--reduce", flags.run.is_reducing,
                "Look for the smallest sizes at which the first failing case of each variant still fails")
      ->group(heading);
  command
      .add_option("--repro", flags.run.repro_directory,
                  "Reduce those cases and write a program that shows each: DIR/kernel__variant/case")
      ->type_name("DIR")
      ->group(heading);
  command.add_option("--json", flags.json, "Write every row to FILE")
      ->type_name("FILE")
      ->each([](const std::string& path) { require_output(path); })
      ->group(heading);
  command.add_option("--html", flags.html, "Write one self-contained page to FILE")
      ->type_name("FILE")
      ->each([](const std::string& path) { require_output(path); })
      ->group(heading);
  command.add_flag("--md", flags.is_markdown, "Print Markdown")->group(heading);
  command
      .add_option("--expected", flags.expected.directory,
                  "What is known of drivers, instead of what was built in: DIR/<driver>.json")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory)
      ->group(heading);
  command.add_flag("--no-expected", flags.expected.is_off, "Every failure is unexpected")->group(heading);
  command
      .add_option("--update-expected", flags.update, "Write what was found to DIR/<driver>.json as what is expected")
      ->type_name("DIR")
      ->group(heading);
}

}  // namespace

void add_conformance_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("conformance", "Find what a driver computes wrongly");
  auto flags = std::make_shared<Flags>();
  flags->device.asks_bad_drivers_again = true;
  add_row_options(*command, *flags);
  command->add_flag("--bisect", flags->is_bisecting,
                    "Run what fails again with abilities taken away: the smallest --disable that makes it vanish");
  command
      ->add_option("--model", flags->run.walk.directory,
                   "Instead: run the model in DIR, every kernel beside its reference, and name the first that departs")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  command
      ->add_option("--model-tokens", flags->run.walk.tokens,
                   "Random tokens to feed it, the last one as a decode step; the references take long for large models")
      ->type_name("N")
      ->check(CLI::Range(2u, 65536u))
      ->capture_default_str();
  add_report_options(*command, *flags);
  add_device_flags(*command, flags->device, /*with_name=*/false);
  command->footer(
      "Exit code: 0 if every row is as expected, 1 otherwise, 2 for wrong usage.\n"
      "Examples:\n"
      "  nibble conformance --html report.html\n"
      "  nibble conformance -d vulkan:0 --full --kernel 'gemm_*'\n"
      "  nibble conformance -d vulkan:0 --disable subgroups\n"
      "  nibble conformance -d vulkan:0 --kernel 'gemm_*' --repro bugs   # or --reduce: only how small it still fails\n"
      "  nibble conformance -d vulkan:0 --model DIR            # the text is garbage: which kernel is it?");
  command->callback([flags] { run(*flags); });
  program.add_subcommand("conformance-worker", "")->group("")->callback(work);
}

}  // namespace nibble
