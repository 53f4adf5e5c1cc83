#include "tools/nibble/number_flags.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

namespace nibble {
namespace {

constexpr std::array<std::string_view, 4> kIntegers = {"N", "N[,N]", "S", "K"};
constexpr std::array<std::string_view, 4> kNumbers = {"T", "P", "M", "SECONDS"};

template <typename T>
std::errc parse(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end != text.data() + text.size() ? std::errc::invalid_argument : error;
}

}  // namespace

std::string why_no_integer(const std::string& text) {
  uint64_t value = 0;
  const std::errc error = parse(text, value);
  if (error == std::errc::result_out_of_range) return fmt::format("'{}' has more than 64 bits", text);
  const bool is_padded = text.size() > 1 && text.front() == '0';
  if (error == std::errc{} && !is_padded) return "";
  return fmt::format("'{}' is not a whole number like 64", text);
}

std::string why_no_number(const std::string& text) {
  double value = 0;
  if (parse(text, value) == std::errc{} && std::isfinite(value)) return "";
  return fmt::format("'{}' is not a number like 0.7", text);
}

void require_numbers(CLI::App& program) {
  for (CLI::Option* option : program.get_options([](const CLI::Option*) { return true; })) {
    const std::string type = option->get_type_name();
    // A range appends itself to the name.
    const std::string_view name = std::string_view(type).substr(0, type.find(':'));
    std::string (*why)(const std::string&) = nullptr;
    if (std::ranges::find(kIntegers, name) != kIntegers.end()) why = why_no_integer;
    if (std::ranges::find(kNumbers, name) != kNumbers.end()) why = why_no_number;
    if (why == nullptr) continue;
    option->check(CLI::Validator([why](std::string& text) { return why(text); }, "", ""));
  }
  for (CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; })) require_numbers(*command);
}

}  // namespace nibble
