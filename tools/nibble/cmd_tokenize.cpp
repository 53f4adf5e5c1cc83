// nibble tokenize: text to token ids and back.
#include <algorithm>
#include <charconv>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/read_tokenizer.h"
#include "host/text/json_text.h"
#include "host/text/tokenizer.h"
#include "host/text/utf8.h"
#include "runtime/base/error.h"
#include "tools/nibble/command.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

constexpr size_t kMaxInputBytes = size_t{1} << 30;

struct TokenizeFlags {
  ModelFlags model;
  std::string text;
  std::string file;
  bool decode = false;
  bool plain = false;
  bool json = false;
};

std::string read_input(const CLI::App& command, const TokenizeFlags& flags) {
  if (command.count("text") > 0) return flags.text;
  if (!flags.file.empty() && flags.file != "-") return read_text_file(flags.file, kMaxInputBytes);
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

// Numbers between white space, commas and brackets, so that a JSON list is read as well.
std::vector<uint32_t> parse_ids(std::string_view text, size_t vocab_size) {
  constexpr std::string_view kBetween = " \t\r\n,[]";
  std::vector<uint32_t> ids;
  for (size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    const std::string_view word = text.substr(at, end - at);
    uint32_t id = 0;
    const auto [last, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || last != word.data() + word.size() || id >= vocab_size) {
      fail(ErrorCode::kUsage, "token id '{}', expected a number below {}", word.substr(0, 40), vocab_size);
    }
    ids.push_back(id);
    at = text.find_first_not_of(kBetween, end);
  }
  return ids;
}

// One line per token: its id and its bytes, as a JSON string.
std::string describe(const Tokenizer& tokenizer, const std::vector<uint32_t>& ids) {
  std::string out;
  for (const uint32_t id : ids) {
    out += fmt::format("{:>7}  {}\n", id, nlohmann::json(utf8_lossy(tokenizer.token_bytes(id))).dump());
  }
  return out;
}

void tokenize(const CLI::App& command, const TokenizeFlags& flags) {
  const std::string input = read_input(command, flags);
  const Tokenizer tokenizer = read_tokenizer(flags.model.directory / "tokenizer.json");
  if (flags.decode) {
    const std::string text = tokenizer.decode(parse_ids(input, tokenizer.vocab_size()));
    write_stdout(flags.json ? nlohmann::json(utf8_lossy(text)).dump() + "\n" : text);
    return;
  }
  const auto ids = tokenizer.encode(input, !flags.plain);
  write_stdout(flags.json ? nlohmann::json(ids).dump() + "\n" : describe(tokenizer, ids));
}

}  // namespace

void add_tokenize_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("tokenize", "Turn text into token ids, or ids into text");
  auto flags = std::make_shared<TokenizeFlags>();
  add_model_flags(*command, flags->model);
  auto* text = command->add_option("text", flags->text, "The text (or ids); without it, standard input is read");
  command->add_option("-f,--file", flags->file, "Read the text (or ids) from this file; - is standard input")
      ->type_name("FILE")
      ->excludes(text);
  command->add_flag("--decode", flags->decode, "The input is ids; write their bytes");
  command->add_flag("--plain", flags->plain, "Take <think> and other added tokens for plain text");
  add_json_flag(*command, flags->json);
  command->footer(
      "Examples:\n"
      "  nibble tokenize -m MODEL 'In the beginning'\n"
      "  nibble tokenize -m MODEL --json --file book.txt > ids.json\n"
      "  nibble tokenize -m MODEL --decode --file ids.json");
  command->callback([command, flags] { tokenize(*command, *flags); });
}

}  // namespace nibble
