// nibble synth: a checkpoint with random weights at the shapes of a released model, to measure the real thing without
// downloading it.
#include <chrono>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/synthetic/checkpoint_writer.h"
#include "host/synthetic/released_shapes.h"
#include "runtime/base/log.h"
#include "runtime/core/device_info.h"
#include "tools/nibble/command.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  std::string shape = "v4-flash";
  uint32_t layers = 4;
  std::filesystem::path out;
  uint64_t seed = 1;
};

void run(const Flags& flags) {
  const nlohmann::json config = released_config(flags.shape, flags.layers);
  uint64_t written = 0;
  uint64_t shown = 0;
  const InterruptGuard interrupt(std::chrono::seconds(0));
  write_synthetic_checkpoint(flags.out, config, {.seed = flags.seed}, [&](uint64_t done, uint64_t total) {
    throw_if_interrupted();
    written = done;
    if (done - shown < (uint64_t{1} << 30) && done != total) return;
    shown = done;
    say("{} of {}\n", format_bytes(done), format_bytes(total));
  });
  write_stdout(fmt::format("{}: {} with {} layers, random weights (seed {}), {}\n", flags.out.string(), flags.shape,
                           config["num_hidden_layers"].get<uint32_t>(), flags.seed, format_bytes(written)));
}

}  // namespace

void add_synth_command(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      program.add_subcommand("synth", "Write a checkpoint with random weights at the shape of a released model");
  command
      ->add_option("--shape", flags->shape, "Released model: " + fmt::format("{}", fmt::join(released_shapes(), ", ")))
      ->capture_default_str();
  command
      ->add_option("--layers", flags->layers,
                   "The first N layers (4 of v4-flash have one of each kind and take 16 GiB); 0: all of them")
      ->capture_default_str();
  command->add_option("-o,--out", flags->out, "Directory to write to, new or empty")->required();
  command->add_option("--seed", flags->seed, "Of the random weights")
      ->check(whole_number_of_64_bits())
      ->capture_default_str();
  command->footer(
      "The weights have the statistics of trained ones: activations stay near 1 and tokens spread over the experts.\n"
      "There is no tokenizer: `nibble bench decode` and `nibble bench prefill` need none.");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
