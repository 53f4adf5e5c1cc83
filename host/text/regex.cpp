#include "host/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>

#include "host/text/utf8.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

// What a position may take without being counted: a text's cost is in proportion to its length then.
constexpr size_t kUsualSteps = 1024;
// For those that take more, together. Real patterns take about two steps for each byte of the longest run of spaces,
// once for each run, and are charged up to kStepGrowth times what they take.
constexpr size_t kExtraSteps = 16'000'000;
constexpr size_t kExtraStepsPerByte = 128;
constexpr size_t kStepGrowth = 8;
constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackMax = 8 * 1024 * 1024;
constexpr uint32_t kHeapLimitKib = 64 * 1024;

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[160];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

void Regex::FreeCode::operator()(void* code) const { pcre2_code_free(static_cast<pcre2_code*>(code)); }

Regex::Regex(std::string_view pattern)
    // Ruby's ^ and $ always hold at line ends.
    : Regex(translate_pattern(pattern), pattern, PCRE2_UCP | PCRE2_MULTILINE) {}

Regex Regex::literal(std::string_view text) { return Regex(text, text, PCRE2_LITERAL); }

Regex::Regex(std::string_view pattern, std::string_view shown, uint32_t options) : shown_(shown) {
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                            options | PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, context.get()));
  if (!code_) fail(ErrorCode::kInvalidFile, "regex '{}': {}", shown_, pcre2_message(error));
  // Where the JIT is not built in, the interpreter gives the same matches.
  pcre2_jit_compile(static_cast<pcre2_code*>(code_.get()), PCRE2_JIT_COMPLETE);
}

struct RegexMatcher::State {
  pcre2_match_data* data = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;
};

void RegexMatcher::FreeState::operator()(State* state) const {
  pcre2_jit_stack_free(state->stack);
  pcre2_match_context_free(state->context);
  pcre2_match_data_free(state->data);
  delete state;
}

RegexMatcher::RegexMatcher(size_t text_bytes)
    : state_(new State), steps_left_(kExtraSteps + kExtraStepsPerByte * text_bytes) {
  state_->data = pcre2_match_data_create(1, nullptr);
  state_->context = pcre2_match_context_create(nullptr);
  if (!state_->data || !state_->context) fail(ErrorCode::kOutOfMemory, "regex: no memory for matching");
  pcre2_set_heap_limit(state_->context, kHeapLimitKib);
  state_->stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);
  if (state_->stack) pcre2_jit_stack_assign(state_->context, nullptr, state_->stack);
}

int RegexMatcher::match(const Regex& regex, std::string_view text, size_t from, uint32_t options, size_t steps) {
  const auto* code = static_cast<const pcre2_code*>(regex.code_.get());
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  options |= PCRE2_NO_UTF_CHECK;
  pcre2_set_match_limit(state_->context, static_cast<uint32_t>(std::min<size_t>(steps, UINT32_MAX)));
  int result = pcre2_match(code, subject, text.size(), from, options, state_->data, state_->context);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
    result = pcre2_match(code, subject, text.size(), from, options | PCRE2_NO_JIT, state_->data, state_->context);
  }
  return result;
}

// Whether a match begins at `at`, for as many steps as there are left.
int RegexMatcher::match_at(const Regex& regex, std::string_view text, size_t at) {
  int result = match(regex, text, at, PCRE2_ANCHORED, kUsualSteps);
  for (size_t steps = kUsualSteps * kStepGrowth; result == PCRE2_ERROR_MATCHLIMIT; steps *= kStepGrowth) {
    if (steps_left_ == 0) break;
    steps = std::min(steps, steps_left_);
    steps_left_ -= steps;
    result = match(regex, text, at, PCRE2_ANCHORED, steps);
  }
  return result;
}

// PCRE2 counts for each position anew and does not tell at which it gave up: one after the other up to there, then all
// of those behind it again.
int RegexMatcher::search(const Regex& regex, std::string_view text, size_t from) {
  size_t at = from;
  int outcome = match(regex, text, at, 0, kUsualSteps);
  while (outcome == PCRE2_ERROR_MATCHLIMIT) {
    const size_t left = steps_left_;
    while (steps_left_ == left) {
      outcome = match_at(regex, text, at);
      if (outcome != PCRE2_ERROR_NOMATCH || at == text.size()) return outcome;
      at += utf8_step(text.substr(at)).size;
    }
    outcome = match(regex, text, at, 0, kUsualSteps);
  }
  return outcome;
}

std::optional<RegexMatch> RegexMatcher::find(const Regex& regex, std::string_view text, size_t from) {
  const int outcome = search(regex, text, from);
  if (outcome == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (outcome == PCRE2_ERROR_MATCHLIMIT) {
    fail(ErrorCode::kUnsupported, "regex '{}': backtracks too much for a text of {} bytes", regex.shown_, text.size());
  }
  if (outcome < 0) fail(ErrorCode::kUnsupported, "regex '{}': {}", regex.shown_, pcre2_message(outcome));
  const size_t* range = pcre2_get_ovector_pointer(state_->data);
  // \K can put the begin behind the end or before `from`.
  if (range[0] > range[1] || range[0] < from) {
    fail(ErrorCode::kUnsupported, "regex '{}': a match that ends before it begins", regex.shown_);
  }
  return RegexMatch{range[0], range[1]};
}

}  // namespace nibble
