#include "quantize/metadata_override.h"

#include <gtest/gtest.h>

#include "format/error.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

/// With the type before it.
std::string shown(const GgufValue& value) {
  return std::string(gguf_type_name(value.index())) + ' ' + to_string(value);
}

std::string typed(std::string_view text) { return shown(parse_metadata_override(text).value); }

TEST(MetadataOverride, each_type_has_its_form) {
  EXPECT_EQ(typed("a.b=int:12"), shown(std::uint32_t{12}));
  EXPECT_EQ(typed("a=int:4294967295"), shown(std::uint32_t{4294967295}));
  EXPECT_EQ(typed("a=int:-1"), shown(std::int32_t{-1}));
  EXPECT_EQ(typed("a=int:4294967296"), shown(std::int64_t{4294967296}));
  EXPECT_EQ(typed("a=float:1e-5"), shown(1e-5F));
  EXPECT_EQ(typed("a=bool:true"), shown(true));
  EXPECT_EQ(typed("a=bool:false"), shown(false));
  EXPECT_EQ(typed("a=str:x=y:z"), shown(std::string("x=y:z")));
  EXPECT_EQ(typed("a=str:"), shown(std::string()));
  EXPECT_EQ(parse_metadata_override("general.name=str:m").key, "general.name");
}

TEST(MetadataOverride, anything_else_is_refused) {
  for (const char* bad : {"", "a", "a=", "a=int", "=int:1", "a=int:", "a=int:1x", "a=int:1.5",
                          "a=int:99999999999999999999", "a=float:", "a=float:nan", "a=float:inf",
                          "a=bool:yes", "a=u8:1", "a=str:\xff", "split.count=int:2"}) {
    SCOPED_TRACE(bad);
    test::expect_error(ErrorKind::usage, [&] { parse_metadata_override(bad); });
  }
}

TEST(MetadataOverride, entries_keep_their_places_and_new_ones_come_last) {
  GgufMetadata metadata = {{"a", std::uint32_t{1}}, {"b", std::string("x")}, {"c", GgufArray{}}};
  override_metadata(metadata, {{"d", true}, {"a", std::string("y")}});
  ASSERT_EQ(metadata.size(), 4U);
  EXPECT_EQ(shown(metadata[0].value), shown(std::string("y")));
  EXPECT_EQ(metadata[3].key, "d");
  EXPECT_THROW(override_metadata(metadata, {{"c", true}}), Error);
}

}  // namespace
}  // namespace galatea
