// A function in a process of its own, for drivers that crash and hang.
#pragma once

#include <functional>
#include <string>

namespace nibble::mutation {

enum class Ending { kReturned, kEnded, kTimeout };

struct ChildResult {
  Ending ending = Ending::kReturned;
  std::string text;  // kReturned: what the function returned; kEnded: how the process ended
  double seconds = 0;
};

// Forks: the caller must have no other threads. What the child prints is dropped; an exception ends it.
ChildResult call_in_child(const std::function<std::string()>& function, double limit_seconds);

}  // namespace nibble::mutation
