#include "format/version.h"

namespace galatea {

std::string_view version() { return GALATEA_VERSION; }

}  // namespace galatea
