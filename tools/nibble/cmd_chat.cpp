// nibble chat: a conversation in the terminal.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <utility>

#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "tools/nibble/command.h"
#include "tools/nibble/conversation.h"

namespace nibble {
namespace {

constexpr std::string_view kHelp =
    "/help        this list\n"
    "/clear       forget the conversation\n"
    "/rewind [N]  take back the last question and its answer, or the last N, as if they had not been asked\n"
    "/save FILE   keep the conversation and what the model has read of it\n"
    "/load FILE   go on with a conversation that was saved\n"
    "/stats       tokens and speed of the last answer\n"
    "/quit        leave (so does Ctrl-D)\n"
    "A slash and one word of letters is a command; all else is a question, /usr/bin for one, and any line after a "
    "space.\n"
    "A line that ends in \\ goes on in the next one.\n"
    "Ctrl-C stops an answer, the reading of a question, /save and /load; only where that takes more than 10 seconds "
    "does\n"
    "another Ctrl-C end the program, and the conversation with it.\n";

void print_stats(const Conversation& conversation) {
  const GenerationResult& last = conversation.last();
  say("{}\nprompt {} tokens, {:.1f} tokens/s; answer {} tokens, {:.1f} tokens/s; stopped: {}\n", conversation.device(),
      last.prompt_tokens, last.prefill_speed(), last.tokens.size(), last.decode_speed(), name_of(last.stop));
}

// Asks for one message, which may span lines. False at the end of input.
bool read_message(InterruptGuard& interrupt, std::string& message) {
  const bool interactive = isatty(STDIN_FILENO) == 1;
  message.clear();
  for (;;) {
    if (interactive) say("{}", message.empty() ? "> " : "… ");
    std::string line;
    const LineResult result = read_line(line);
    if (result == LineResult::kEnd) return !message.empty();
    if (result == LineResult::kInterrupted) {
      interrupt.reset();
      message.clear();
      say("\n(/quit or Ctrl-D leaves)\n");
      continue;
    }
    if (result == LineResult::kTooLong) {
      say("nibble: a line of more than {} MiB was dropped\n", kMaxLineBytes >> 20);
      message.clear();
      continue;
    }
    const bool goes_on = line.ends_with('\\');
    if (goes_on) line.back() = '\n';
    message += line;
    if (!goes_on && !message.empty()) return true;
  }
}

// "/save a file" -> "/save" and "a file".
std::pair<std::string, std::string> split_command(const std::string& line) {
  const size_t space = line.find(' ');
  if (space == std::string::npos) return {line, ""};
  const size_t argument = line.find_first_not_of(' ', space);
  return {line.substr(0, space), argument == std::string::npos ? "" : line.substr(argument)};
}

size_t parse_count(const std::string& text) {
  if (text.empty()) return 1;
  size_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size()) {
    fail(ErrorCode::kUsage, "/rewind {}: expected a number of questions", printable(text));
  }
  return count;
}

std::string file_argument(const std::string& name, const std::string& argument) {
  if (argument.empty()) fail(ErrorCode::kUsage, "{} needs the name of a file", name);
  return argument;
}

// A command is a slash and one word of letters. Paths that are pasted have more slashes; a mistyped command is none of
// them and is not sent to the model.
bool is_command(const std::string& message) {
  if (!message.starts_with('/') || message.find('\n') != std::string::npos) return false;
  const std::string name = split_command(message).first;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return std::all_of(name.begin() + 1, name.end(), is_letter);
}

void require_no_argument(const std::string& name, const std::string& argument) {
  if (!argument.empty()) fail(ErrorCode::kUsage, "{} {}: it takes nothing", name, printable(argument));
}

// False where the conversation is over.
bool run_command(Conversation& conversation, const std::string& line) {
  const auto [name, argument] = split_command(line);
  if (name == "/quit" || name == "/exit") {
    require_no_argument(name, argument);
    return false;
  }
  if (name == "/help") {
    say("{}", kHelp);
  } else if (name == "/clear") {
    require_no_argument(name, argument);
    conversation.clear();
  } else if (name == "/stats") {
    require_no_argument(name, argument);
    print_stats(conversation);
  } else if (name == "/rewind") {
    conversation.rewind(parse_count(argument));
    say("{} questions are left\n", conversation.questions());
  } else if (name == "/save") {
    conversation.save(file_argument(name, argument));
    say("saved {} questions, {} tokens\n", conversation.questions(), conversation.position());
  } else if (name == "/load") {
    conversation.load(file_argument(name, argument));
    say("loaded {} questions, {} tokens\n", conversation.questions(), conversation.position());
  } else {
    say("there is no {}; /help lists what there is; a space before it makes it a question\n", printable(name));
  }
  return true;
}

// Why an answer is shorter than the model would have it.
void say_what_cut(const Conversation& conversation, const ConversationFlags& flags) {
  const GenerationResult& last = conversation.last();
  if (last.prompt_is_cut) {
    say("(stopped after {} tokens of the question, which is not part of the conversation; asked again, it goes on "
        "there)\n",
        last.prompt_tokens);
  } else if (last.stop == StopReason::kContextFull) {
    say("(cut: the context of {} positions is full; /clear, /rewind, or a larger --ctx)\n", conversation.context());
  } else if (last.stop == StopReason::kLength) {
    say("(cut after {} tokens: -n {})\n", last.tokens.size(), flags.max_tokens);
  }
}

// A file that is not there, a question too long for the context or a model that was lost on its disk is no reason to
// lose the conversation: what was said can be saved.
bool goes_on_after(ErrorCode code, bool command) {
  if (!command) return code == ErrorCode::kUsage || code == ErrorCode::kIo;
  return code != ErrorCode::kDevice && code != ErrorCode::kInternal;
}

// False where the conversation is over. `lost` gets the reason where the model was lost with its disk.
bool respond(Conversation& conversation, const ConversationFlags& flags, const std::string& message,
             const InterruptGuard& interrupt, std::string& lost) {
  const bool command = is_command(message);
  try {
    if (command) return run_command(conversation, message);
    conversation.ask(message, interrupt);
    say_what_cut(conversation, flags);
  } catch (const Error& error) {
    if (!goes_on_after(error.code(), command)) throw;
    if (!command && error.code() == ErrorCode::kIo) {
      lost = error.what();
      say("nibble: {}; /save keeps the conversation as far as it was read\n", lost);
    } else {
      say("nibble: {}{}\n", error.what(), command ? "" : "; /rewind takes questions back, /clear starts over");
    }
  } catch (const Interrupted&) {
    say("\n(stopped: {} was not done)\n", split_command(message).first);
  }
  return true;
}

void run(const ConversationFlags& flags) {
  Conversation conversation(flags);
  InterruptGuard interrupt;
  if (isatty(STDIN_FILENO) == 1) say("{}\n{}", conversation.device(), kHelp);
  std::string message;
  std::string lost;  // why no further question can be answered
  while (read_message(interrupt, message) && respond(conversation, flags, message, interrupt, lost)) interrupt.reset();
  if (!lost.empty()) throw Error(ErrorCode::kIo, lost);
}

}  // namespace

void add_chat_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("chat", "Talk to the model in the terminal");
  auto flags = std::make_shared<ConversationFlags>();
  add_model_flags(*command, flags->model);
  command->add_option("--system", flags->system, "System message that the conversation starts with")->type_name("TEXT");
  CLI::Option* think = command->add_flag("--think", flags->think, "Let the model reason before it answers");
  add_effort_flag(*command, flags->effort, *think);
  command->add_option("-n,--max-tokens", flags->max_tokens, "Tokens of one answer at most (default: no limit)")
      ->type_name("N")
      ->check(CLI::Range(1u, UINT32_MAX));
  add_sampler_flags(*command, flags->sampler);
  add_session_flags(*command, flags->session);
  add_device_flags(*command, flags->device);
  command->footer(
      "In the conversation:\n"
      "  /help, /clear, /rewind, /save FILE, /load FILE, /stats, /quit\n"
      "  Ctrl-C stops what is under way, not the program; another one ends it, and the conversation, only where "
      "stopping\n"
      "  takes more than 10 seconds\n"
      "Example:\n"
      "  nibble chat -m DIR --think --temp 0.6 --top-p 0.95 --ctx 16384");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
