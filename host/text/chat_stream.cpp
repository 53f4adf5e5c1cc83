#include "host/text/chat_stream.h"

#include <algorithm>
#include <utility>

#include "host/text/python_json.h"
#include "host/text/utf8.h"

namespace nibble {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

size_t longest(std::initializer_list<std::string_view> texts) {
  size_t size = 0;
  for (const std::string_view text : texts) size = std::max(size, text.size());
  return size;
}

}  // namespace

CompletionStream::CompletionStream(bool thinking, const CompletionMarkers& markers)
    : markers_(markers), spaced_calls_start_(markers.calls_gap), reasoning_(thinking) {
  spaced_calls_start_ += markers.calls_start;
  for (const std::string_view tag :
       {markers.parameter_start, markers.invoke_start, markers.invoke_end, markers.calls_end}) {
    value_breaks_.push_back("\n" + std::string(tag));
  }
}

ParsedCompletion CompletionStream::push(std::string_view bytes) {
  bytes_ += bytes;
  size_t done = 0;
  while (done < bytes_.size() && !ended_) {
    const std::string_view left = std::string_view(bytes_).substr(done);
    const size_t valid = valid_utf8_prefix(left);
    buffer_ += left.substr(0, valid);
    done += valid;
    if (valid == left.size()) break;
    const Utf8Step step = utf8_step(left.substr(valid));
    if (step.kind == Utf8Step::Kind::kTruncated) break;
    buffer_ += kReplacementCharacter;
    done += step.size;
  }
  bytes_.erase(0, done);
  parse();
  return std::exchange(delta_, {});
}

ParsedCompletion CompletionStream::finish() {
  if (!bytes_.empty()) buffer_ += kReplacementCharacter;
  bytes_.clear();
  at_end_ = true;
  parse();
  return std::exchange(delta_, {});
}

FinishReason CompletionStream::finish_reason() const {
  if (!ended_) return FinishReason::kCut;
  return whole_.tool_calls.empty() ? FinishReason::kStop : FinishReason::kToolCalls;
}

void CompletionStream::parse() {
  if (ended_) return;
  const size_t eos = buffer_.find(markers_.eos, eos_scan_);
  if (eos != std::string::npos) {
    buffer_.resize(eos);
    at_end_ = true;
  } else {
    eos_scan_ = buffer_.size() - std::min(buffer_.size(), markers_.eos.size() - 1);
  }
  while (step()) {
  }
  if (at_end_) {
    emit_block();
    ended_ = eos != std::string::npos;
  }
  // What is decided is let go of once for each piece, not once for each step.
  buffer_.erase(0, begin_);
  for (size_t* position : {&section_, &scan_, &eos_scan_, &value_from_}) *position -= std::min(*position, begin_);
  value_end_.reset();
  begin_ = 0;
}

bool CompletionStream::step() {
  switch (state_) {
    case State::kText:
      return step_text();
    case State::kBlock:
      return step_block();
    case State::kJunk:
      return step_junk();
    case State::kHead:
      return step_head();
    case State::kParameter:
      return step_parameter();
    case State::kBetween:
      return step_between();
  }
  return false;
}

// All of them in one pass: a search for one that is far away, for each of many that are near, would take the square.
CompletionStream::Found CompletionStream::find_first(size_t from, Markers markers) const {
  std::string beginnings;
  for (const std::string_view marker : markers) beginnings += marker[0];
  for (size_t at = from; (at = buffer_.find_first_of(beginnings, at)) != std::string::npos; ++at) {
    for (const std::string_view marker : markers) {
      if (rest(at).starts_with(marker)) return {at, marker};
    }
  }
  return {};
}

bool CompletionStream::may_become(size_t at, Markers markers) const {
  if (at_end_) return false;
  return std::any_of(markers.begin(), markers.end(), [&](std::string_view marker) {
    return marker.size() > buffer_.size() - at && marker.starts_with(rest(at));
  });
}

size_t CompletionStream::skip_space(size_t at) const {
  return std::min(buffer_.find_first_not_of(kSpace, at), buffer_.size());
}

void CompletionStream::emit_but_beginnings(Markers markers) {
  size_t end = buffer_.size() - std::min(longest(markers), buffer_.size() - begin_);
  while (end < buffer_.size() && !may_become(end, markers)) ++end;
  emit_until(end);
}

void CompletionStream::scan_past(Markers markers) {
  scan_ = std::max(scan_, buffer_.size() - std::min(buffer_.size(), longest(markers) - 1));
}

bool CompletionStream::step_text() {
  // Of no marker, where it does not count, text is held back.
  const std::string_view think_end = reasoning_ ? markers_.think_end : markers_.calls_start;
  const Found found = find_first(begin_, {spaced_calls_start_, markers_.calls_start, think_end});
  if (found.at == std::string::npos) {
    emit_but_beginnings({spaced_calls_start_, markers_.calls_start, think_end, markers_.eos});
    return false;
  }
  emit_until(found.at);
  begin_ += found.marker.size();
  if (reasoning_ && found.marker == think_end) {
    reasoning_ = false;
  } else {
    block_ = found.marker;
    block_has_calls_ = false;
    state_ = State::kBlock;
  }
  return true;
}

bool CompletionStream::step_block() {
  const size_t at = skip_space(begin_);
  const std::string_view think_end = reasoning_ ? markers_.think_end : markers_.calls_end;
  if (rest(at).starts_with(markers_.invoke_start)) {
    block_ += rest(begin_).substr(0, at - begin_);
    begin_ = at;
    name_.clear();
    keys_.clear();
    arguments_.clear();
    enter(State::kHead, at + markers_.invoke_start.size());
    return true;
  }
  if (rest(at).starts_with(markers_.calls_end)) {
    if (block_has_calls_) {
      begin_ = at + markers_.calls_end.size();
    } else {
      emit_block();
      emit_until(at + markers_.calls_end.size());
    }
    block_.clear();
    state_ = State::kText;
    return true;
  }
  if (rest(at).starts_with(think_end)) {
    emit_block();
    emit_until(at);
    state_ = State::kText;
    return true;
  }
  if (may_become(at, {markers_.invoke_start, markers_.calls_end, think_end, markers_.eos})) return false;
  if (at == buffer_.size()) {
    if (block_has_calls_) begin_ = at;
    emit_block();
    emit_until(at);
    return false;
  }
  emit_block();
  state_ = State::kJunk;
  return true;
}

bool CompletionStream::step_junk() {
  const std::string_view think_end = reasoning_ ? markers_.think_end : markers_.calls_end;
  const Found found = find_first(begin_, {markers_.invoke_start, markers_.calls_end, think_end});
  if (found.at == std::string::npos) {
    emit_but_beginnings({markers_.invoke_start, markers_.calls_end, think_end, markers_.eos});
    return false;
  }
  emit_until(found.at);
  state_ = State::kBlock;
  return true;
}

void CompletionStream::enter(State state, size_t section) {
  state_ = state;
  section_ = scan_ = section;
}

bool CompletionStream::step_head() {
  constexpr std::string_view kName = "name=\"";
  const size_t name_at = skip_space(section_);
  if (!rest(name_at).starts_with(kName)) return may_become(name_at, {kName}) ? false : reject_call();
  const Found found =
      find_first(scan_, {markers_.parameter_start, markers_.invoke_end, markers_.invoke_start, markers_.calls_end});
  if (found.at == std::string::npos) {
    scan_past({markers_.parameter_start, markers_.invoke_end, markers_.invoke_start, markers_.calls_end});
    return at_end_ ? reject_call() : false;
  }
  const bool belongs = found.marker == markers_.parameter_start || found.marker == markers_.invoke_end;
  if (!belongs || !read_name(rest(section_).substr(0, found.at - section_))) return reject_call();
  const size_t end = found.at + found.marker.size();
  if (found.marker == markers_.invoke_end) {
    take_call(end);
  } else {
    enter(State::kParameter, end);
  }
  return true;
}

// ` name="…">`, between white space.
bool CompletionStream::read_name(std::string_view head) {
  constexpr std::string_view kBegin = "name=\"";
  constexpr std::string_view kEnd = "\">";
  head = trimmed(head);
  if (!head.starts_with(kBegin) || !head.ends_with(kEnd) || head.size() <= kBegin.size() + kEnd.size()) return false;
  name_ = head.substr(kBegin.size(), head.size() - kBegin.size() - kEnd.size());
  return true;
}

// The end of a parameter from scan_ on, or a tag that says that it has none. Remembered: where calls without an end
// follow each other, all of them look for the same one.
CompletionStream::Found CompletionStream::value_end() {
  if (!value_end_ || scan_ < value_from_ || scan_ > value_end_->at) {
    value_from_ = scan_;
    value_end_ = find_first(
        scan_, {markers_.parameter_end, value_breaks_[0], value_breaks_[1], value_breaks_[2], value_breaks_[3]});
  }
  return *value_end_;
}

bool CompletionStream::step_parameter() {
  const Found found = value_end();
  if (found.at == std::string::npos) {
    scan_past({markers_.parameter_end, value_breaks_[0], value_breaks_[1], value_breaks_[2], value_breaks_[3]});
    return at_end_ ? reject_call() : false;
  }
  if (found.marker != markers_.parameter_end || !read_parameter(rest(section_).substr(0, found.at - section_))) {
    return reject_call();
  }
  enter(State::kBetween, found.at + found.marker.size());
  return true;
}

// ` name="…" string="true|false">value`, as a member of a JSON object. A value that says it is JSON and is not is taken
// for the string it looks like: whoever is called can answer that, and the call stays one.
bool CompletionStream::read_parameter(std::string_view text) {
  constexpr std::string_view kName = " name=\"";
  constexpr std::string_view kString = "\" string=\"true\">";
  constexpr std::string_view kJson = "\" string=\"false\">";
  if (!text.starts_with(kName)) return false;
  text.remove_prefix(kName.size());
  const size_t string_at = text.find(kString);
  const size_t json_at = text.substr(0, string_at).find(kJson);
  const bool is_json = json_at != std::string_view::npos;
  if (!is_json && string_at == std::string_view::npos) return false;
  const std::string_view key = text.substr(0, is_json ? json_at : string_at);
  const std::string_view value = text.substr(key.size() + (is_json ? kJson : kString).size());
  if (!keys_.emplace(key).second) return false;
  if (!arguments_.empty()) arguments_ += ", ";
  arguments_ += python_string(key) + ": ";
  arguments_ += is_json && is_python_json(value) ? std::string(value) : python_string(value);
  return true;
}

bool CompletionStream::step_between() {
  const size_t at = skip_space(section_);
  if (rest(at).starts_with(markers_.parameter_start)) {
    enter(State::kParameter, at + markers_.parameter_start.size());
    return true;
  }
  if (rest(at).starts_with(markers_.invoke_end)) {
    take_call(at + markers_.invoke_end.size());
    return true;
  }
  return may_become(at, {markers_.parameter_start, markers_.invoke_end}) ? false : reject_call();
}

void CompletionStream::take_call(size_t end) {
  const ToolCall call = {.name = name_, .arguments = "{" + arguments_ + "}"};
  whole_.tool_calls.push_back(call);
  delta_.tool_calls.push_back(call);
  reasoning_ = false;
  block_.clear();
  block_has_calls_ = true;
  begin_ = end;
  state_ = State::kBlock;
}

bool CompletionStream::reject_call() {
  emit_block();
  emit_until(begin_ + markers_.invoke_start.size());
  state_ = State::kJunk;
  return true;
}

void CompletionStream::emit_block() { emit(std::exchange(block_, {})); }

void CompletionStream::emit_until(size_t end) {
  emit(rest(begin_).substr(0, end - begin_));
  begin_ = end;
}

void CompletionStream::emit(std::string_view text) {
  for (ParsedCompletion* completion : {&whole_, &delta_}) {
    (reasoning_ ? completion->reasoning : completion->content) += text;
  }
}

}  // namespace nibble
