// nibble encode: the exact prompt of a chat.
#include <filesystem>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/chat.h"
#include "host/json_text.h"
#include "host/tokenizer.h"
#include "tools/nibble/command.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

// 65,536 values are hours of conversation; objects keep their order at a cost that grows with the square of their size.
constexpr JsonLimits kRequestLimits = {.max_values = size_t{1} << 16};

struct EncodeFlags {
  ModelFlags model;
  std::string messages;
  std::string effort = "high";
  bool thinking = false;
  bool keep_reasoning = false;
  bool json = false;
};

void encode(const EncodeFlags& flags) {
  const std::string text = read_text_file(flags.messages, kRequestLimits.max_bytes);
  const ChatOptions options = {
      .thinking = flags.thinking, .effort = parse_effort(flags.effort), .drop_reasoning = !flags.keep_reasoning};
  const std::string prompt = encode_chat(parse_ordered_json(text, flags.messages, kRequestLimits), options);
  if (!flags.json) return write_stdout(prompt);
  const Tokenizer tokenizer = Tokenizer::load(flags.model.directory / "tokenizer.json");
  nlohmann::ordered_json out;
  out["prompt"] = prompt;
  out["tokens"] = tokenizer.encode(prompt);
  write_stdout(out.dump() + "\n");
}

}  // namespace

void add_encode_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("encode", "Print the exact prompt of a chat");
  auto flags = std::make_shared<EncodeFlags>();
  add_model_flags(*command, flags->model);
  command
      ->add_option("--messages", flags->messages,
                   "JSON: a list of messages in OpenAI's form, or an object with \"messages\" and \"tools\"")
      ->required()
      ->type_name("FILE");
  command->add_flag("--thinking", flags->thinking, "The assistant reasons before it answers");
  command
      ->add_option("--effort", flags->effort, "high, or max for an instruction to reason at length (with --thinking)")
      ->type_name("EFFORT")
      ->capture_default_str();
  command->add_flag("--keep-reasoning", flags->keep_reasoning, "Keep the reasoning of earlier turns");
  add_json_flag(*command, flags->json);
  command->footer("Example:\n  nibble encode -m MODEL --messages chat.json --thinking");
  command->callback([flags] { encode(*flags); });
}

}  // namespace nibble
