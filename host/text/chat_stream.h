// CompletionStream: what a model writes, taken apart as it comes: reasoning, content and tool calls. The counterpart of
// parse_completion for text that nobody vouches for. It never throws, and how the text is cut into pieces makes no
// difference to what comes out, only to when.
//
// The reasoning ends at the first </think>, or with the first whole call before one. A call that is whole is a call,
// whatever stands around it; what looks like the beginning of one and goes wrong is text. Bytes that are not UTF-8
// become U+FFFD. Text is held back only while it may still turn out to be part of a marker or of a call.
#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "host/text/chat.h"
#include "host/text/chat_tokens.h"

namespace nibble {

// The texts that divide a completion. Views of texts that outlive the stream.
struct CompletionMarkers {
  std::string_view think_end = kThinkEnd;
  std::string_view eos = kEosToken;
  std::string_view calls_start = "<｜DSML｜tool_calls>";
  std::string_view calls_gap = "\n\n";  // stands before calls_start and belongs to it
  std::string_view calls_end = "</｜DSML｜tool_calls>";
  std::string_view invoke_start = kInvokeStart;
  std::string_view invoke_end = "</｜DSML｜invoke>";
  std::string_view parameter_start = kParameterStart;
  std::string_view parameter_end = "</｜DSML｜parameter>";
};

enum class FinishReason {
  kStop,       // the end-of-sentence token
  kToolCalls,  // the end-of-sentence token, after calls
  kCut,        // neither: the text was stopped from outside
};

class CompletionStream {
 public:
  // `thinking`: the text begins inside the reasoning.
  explicit CompletionStream(bool thinking, const CompletionMarkers& markers = {});

  // What became certain with `bytes`, or with the end. Nothing after the end-of-sentence token is looked at.
  ParsedCompletion push(std::string_view bytes);
  ParsedCompletion finish();

  // All of it so far.
  const ParsedCompletion& completion() const { return whole_; }
  // Whether the end-of-sentence token has been seen: nothing more will come.
  bool ended() const { return ended_; }
  // After finish().
  FinishReason finish_reason() const;

 private:
  enum class State {
    kText,       // reasoning or content
    kBlock,      // inside <tool_calls>, where a call or the end should stand
    kJunk,       // inside <tool_calls>, in text that should not stand there
    kHead,       // inside a call, before its first parameter
    kParameter,  // inside a parameter
    kBetween,    // behind a parameter
  };
  struct Found {
    size_t at = std::string::npos;
    std::string_view marker;
  };
  using Markers = std::initializer_list<std::string_view>;

  void parse();
  // Each takes what it can from the buffer; false: more text is needed.
  bool step();
  bool step_text();
  bool step_block();
  bool step_junk();
  bool step_head();
  bool step_parameter();
  bool step_between();

  std::string_view rest(size_t from) const { return std::string_view(buffer_).substr(from); }
  Found find_first(size_t from, Markers markers) const;
  // Whether the text at `at` may still become one of `markers`.
  bool may_become(size_t at, Markers markers) const;
  size_t skip_space(size_t at) const;
  // Emits what cannot be the beginning of one of `markers`.
  void emit_but_beginnings(Markers markers);
  // None of `markers` was found from scan_ on: only their beginnings can be there.
  void scan_past(Markers markers);
  Found value_end();
  bool read_name(std::string_view head);
  bool read_parameter(std::string_view text);
  void enter(State state, size_t section);
  void take_call(size_t end);
  // The call that was begun is none: text, in which the next may begin.
  bool reject_call();
  void emit_block();
  void emit_until(size_t end);
  void emit(std::string_view text);

  CompletionMarkers markers_;
  std::string spaced_calls_start_;
  std::vector<std::string> value_breaks_;  // tags at the beginning of a line: none of them stands in a value
  bool reasoning_;
  bool at_end_ = false;
  bool ended_ = false;
  State state_ = State::kText;

  std::string bytes_;      // the beginning of a code point
  std::string buffer_;     // what is not decided begins at begin_
  size_t begin_ = 0;       // of a call: its tag
  size_t section_ = 0;     // where the head, the parameter or what is between them begins
  size_t scan_ = 0;        // no end of that section begins before it
  size_t eos_scan_ = 0;    // no end of the sentence begins before it
  size_t value_from_ = 0;  // from here on, value_end_ is the end of a value
  std::optional<Found> value_end_;
  std::string block_;  // structure that is text unless a call follows
  bool block_has_calls_ = false;

  std::string name_;
  std::set<std::string, std::less<>> keys_;
  std::string arguments_;

  ParsedCompletion whole_;
  ParsedCompletion delta_;
};

}  // namespace nibble
