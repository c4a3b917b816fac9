// Git LFS pointer files as a list of digests: a repository cloned without its large files (GIT_LFS_SKIP_SMUDGE=1)
// says the SHA-256 and the size of each of them.
#pragma once

#include <filesystem>

#include "verify/manifest.h"

namespace galatea {

/// True for a folder, and for a file that is a pointer; another file is a list of digests (read_manifest).
bool is_pointer_manifest(const std::filesystem::path& path);

/// Every pointer in a folder and its subfolders (four deep, hidden ones and links left out) with its SHA-256
/// and size; or the one pointer `path`. Small files of such a folder that are no pointers (config.json) are
/// content themselves: they are listed by their own SHA-256, and a folder that lacks them is whole. Texts for
/// people (*.md) are left out. Throws Error(input) when there is no pointer.
Manifest read_pointer_manifest(const std::filesystem::path& path);

}  // namespace galatea
