// Errors as test subjects: their text, and that it is one line.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "runtime/base/error.h"

namespace nibble {

// The message of the nibble::Error that `action` throws; "" and a test failure when it throws none or not one line.
template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_FALSE(message.empty());
    return message;
  }
  ADD_FAILURE() << "no error";
  return "";
}

// Expects an error whose message contains every one of `parts`.
template <typename Action, typename... Parts>
void expect_error(Action&& action, const Parts&... parts) {
  const std::string message = error_of(action);
  for (const std::string& part : {std::string(parts)...}) {
    EXPECT_NE(message.find(part), std::string::npos) << "no '" << part << "' in: " << message;
  }
}

}  // namespace nibble
