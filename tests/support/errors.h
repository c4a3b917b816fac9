// What a test expects of an Error.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "format/error.h"

namespace galatea::test {

/// The Error that `work` throws. The test fails when there is none; what is returned then is of no use and says so.
template <typename Work>
Error error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "there is no error";
  return {ErrorKind::usage, "there is no error"};
}

/// `work` throws an Error of this kind whose text holds `part`.
template <typename Work>
void expect_error(ErrorKind kind, const Work& work, std::string_view part = {}) {
  const Error error = error_of(work);
  EXPECT_EQ(error.kind(), kind) << error.what();
  EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
      << "expected: " << part << "\nfound: " << error.what();
}

/// `work` throws an Error about the input whose text holds `part`.
template <typename Work>
void expect_refused(const Work& work, std::string_view part = {}) {
  expect_error(ErrorKind::input, work, part);
}

/// The text of the Error about the input that `work` throws.
template <typename Work>
std::string refusal_of(const Work& work) {
  const Error error = error_of(work);
  EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
  return error.what();
}

}  // namespace galatea::test
