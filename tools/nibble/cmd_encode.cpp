// nibble encode: the exact prompt of a chat.
#include <filesystem>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/read_tokenizer.h"
#include "host/text/chat.h"
#include "host/text/chat_effort.h"
#include "host/text/json_text.h"
#include "host/text/python_json.h"
#include "host/text/tokenizer.h"
#include "runtime/base/error.h"
#include "tools/nibble/command.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

// Hours of conversation: the longest context has 4 MB of text.
constexpr size_t kMaxRequestBytes = size_t{64} << 20;

struct EncodeFlags {
  ModelFlags model;
  std::string messages;
  std::string effort;
  bool thinking = false;
  bool keep_reasoning = false;
  bool json = false;
};

// Some editors begin a file with it.
std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

// By the flag or by the request; the names are the checkpoint's.
std::string_view instruction(const EncodeFlags& flags, const PythonJson& request) {
  const std::string requested = requested_effort(request, flags.messages);
  if (!requested.empty() && !flags.effort.empty() && requested != flags.effort) {
    fail(ErrorCode::kUsage, "--effort {}: {} has 'reasoning_effort' {}", printable(flags.effort), flags.messages,
         printable(requested));
  }
  if (!requested.empty() && !flags.thinking) {
    fail(ErrorCode::kUsage, "{}: 'reasoning_effort' {} needs --thinking", flags.messages, printable(requested));
  }
  const std::string& effort = flags.effort.empty() ? requested : flags.effort;
  // The usual effort adds nothing in any release, and needs no checkpoint to be asked.
  return effort.empty() ? "" : effort_instruction(effort_levels(flags.model.directory), effort);
}

void encode(const EncodeFlags& flags) {
  const std::string text = read_text_file(flags.messages, kMaxRequestBytes);
  const PythonJson request = PythonJson::parse(without_byte_order_mark(text), flags.messages);
  const std::string prompt = encode_request(request, {.thinking = flags.thinking,
                                                      .effort_instruction = instruction(flags, request),
                                                      .drop_reasoning = !flags.keep_reasoning,
                                                      .source = flags.messages});
  if (!flags.json) return write_stdout(prompt);
  const Tokenizer tokenizer = read_tokenizer(flags.model.directory / "tokenizer.json");
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
  CLI::Option* thinking = command->add_flag("--thinking", flags->thinking, "The assistant reasons before it answers");
  add_effort_flag(*command, flags->effort, *thinking);
  command->add_flag("--keep-reasoning", flags->keep_reasoning, "Keep the reasoning of earlier turns");
  add_json_flag(*command, flags->json);
  command->footer("Example:\n  nibble encode -m MODEL --messages chat.json --thinking");
  command->callback([flags] { encode(*flags); });
}

}  // namespace nibble
