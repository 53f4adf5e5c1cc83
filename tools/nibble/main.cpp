// nibble: runs DeepSeek-V4-class models on Vulkan, OpenCL and the CPU. This file parses the command line and turns
// every failure into one line on stderr; the work is in cmd_<name>.cpp.
#include <algorithm>
#include <new>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/mapping_guard.h"
#include "tools/nibble/command.h"
#include "tools/nibble/number_flags.h"
#include "tools/nibble/program_end.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitOutputClosed = 128 + 13;  // what a shell reports for a filter that SIGPIPE ended

int report(int exit_code, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  say("nibble: error: {}\n", message);
  return exit_code;
}

// Help and version arrive as exceptions too; they are results and go to stdout.
int report_parse_result(const CLI::App& program, const CLI::ParseError& error) {
  const auto chosen = program.get_subcommands();
  const CLI::App& subject = chosen.empty() ? program : *chosen.front();
  if (error.get_exit_code() == 0) {
    const bool is_version = error.get_name() == "CallForVersion";
    write_stdout(is_version ? std::string(error.what()) + "\n" : subject.help());
    return 0;
  }
  if (chosen.empty() && !program.remaining().empty()) {
    return report(kExitUsage,
                  fmt::format("there is no command '{}' ('nibble --help' lists them)", program.remaining().front()));
  }
  std::string name = "nibble";
  for (auto path = chosen; !path.empty(); path = path.front()->get_subcommands()) {
    name += " " + path.front()->get_name();
  }
  return report(kExitUsage, fmt::format("{} ('{} --help' explains)", error.what(), name));
}

int run(int argc, char** argv) {
  CLI::App program(
      "Runs DeepSeek-V4-class language models on Vulkan, OpenCL and the CPU, from the checkpoint as it was released.",
      "nibble");
  program.set_version_flag("--version", "nibble " NIBBLE_VERSION);
  program.require_subcommand(1);
  // `tools/demo.sh -n 50` appends to a line that already has -n: the last one counts.
  program.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  program.footer(
      "Examples:\n"
      "  nibble devices\n"
      "  nibble run -m tools/demo/model -p 'In the beginning' -n 100\n"
      "  nibble run --help");
#define NIBBLE_COMMAND(name) add_##name##_command(program);
#include "tools/nibble/commands.inc"
#undef NIBBLE_COMMAND
  add_driver_worker(program);
  require_numbers(program);
  try {
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return report_parse_result(program, error);
  }
}

int run_and_report(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const OutputClosed&) {
    return kExitOutputClosed;
  } catch (const Interrupted&) {
    return kExitInterrupted;
  } catch (const Error& error) {
    return report(error.code() == ErrorCode::kUsage ? kExitUsage : kExitFailure, error.what());
  } catch (const std::bad_alloc&) {
    return report(kExitFailure, "out of memory");
  } catch (const std::exception& error) {
    return report(kExitFailure, error.what());
  }
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) {
  nibble::prepare_standard_streams();
  nibble::guard_mappings();
  nibble::watch_program_end();
  const int exit_code = nibble::run_and_report(argc, argv);
  nibble::work_is_done(exit_code);
  return exit_code;
}
