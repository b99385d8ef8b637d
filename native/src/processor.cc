// Where a thread runs. Two threads that answer each other by turns are several times slower on one processor than on two, and the system
// leaves them there for as long as each of them sleeps while the other works.
#include <sched.h>

#include <cerrno>

#include "addon.h"

namespace airlock {
namespace {

// processor(): number. The processor that the calling thread runs on right now.
Napi::Value Processor(const Napi::CallbackInfo& info) {
  const int processor = sched_getcpu();
  if (processor < 0) ThrowErrno(info.Env(), "sched_getcpu", errno);
  return Napi::Number::New(info.Env(), processor);
}

// leaveProcessor(): boolean. Moves the calling thread to another of the processors that it may use, without binding it there; false when
// it may use no other, or the system has more processors than a set of them has bits.
Napi::Value LeaveProcessor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int processor = sched_getcpu();
  cpu_set_t allowed;
  if (processor < 0 || processor >= CPU_SETSIZE || sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return Napi::Boolean::New(env, false);
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<unsigned int>(processor), &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof(others), &others) != 0) return Napi::Boolean::New(env, false);
  if (sched_setaffinity(0, sizeof(allowed), &allowed) != 0) ThrowErrno(env, "sched_setaffinity", errno);
  return Napi::Boolean::New(env, true);
}

}  // namespace

void RegisterProcessor(Napi::Env env, Napi::Object exports) {
  exports.Set("processor", Napi::Function::New<Processor>(env, "processor"));
  exports.Set("leaveProcessor", Napi::Function::New<LeaveProcessor>(env, "leaveProcessor"));
}

}  // namespace airlock
