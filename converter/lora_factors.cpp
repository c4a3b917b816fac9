#include "converter/lora_factors.h"

#include <cstddef>

namespace galatea {
namespace {

struct OfThread {
  std::size_t depth = 0;
  std::vector<std::shared_ptr<const LoraFactors>> recent;  // by depth
};

OfThread& of_thread() {
  static thread_local OfThread one;
  return one;
}

}  // namespace

LoraFactorCache::Use::Use(const LoraFactorCache& cache) {
  OfThread& thread = of_thread();
  if (thread.recent.size() <= thread.depth) thread.recent.resize(thread.depth + 1);
  factors_ = cache.factors();
  thread.recent[thread.depth++] = factors_;
}

LoraFactorCache::Use::~Use() { --of_thread().depth; }

std::shared_ptr<const LoraFactors> LoraFactorCache::factors() const {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const LoraFactors> there = loaded_.lock();
  if (!there) {
    there = std::make_shared<const LoraFactors>(load_());
    loaded_ = there;
  }
  return there;
}

}  // namespace galatea
