// What a process does about threads that cannot be stopped: V8 does not interrupt some builtins, so a worker thread inside one
// lives until the builtin is done.
#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"

namespace airlock {
namespace {

// exitNow(code: number): never. Node's own exit joins every worker thread. What was written to stdout and stderr is with the system
// already: Node writes both synchronously to files, pipes and terminals.
Napi::Value ExitNow(const Napi::CallbackInfo& info) {
  _exit(info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : 1);
}

// setThreadIdle(threadId: number): boolean. Lets a thread run only when no other wants to (SCHED_IDLE, sched(7)); false when there is
// no such thread any more.
Napi::Value SetThreadIdle(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsNumber() || info[0].As<Napi::Number>().Int32Value() <= 0) {
    Napi::TypeError::New(env, "setThreadIdle needs a thread id").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const sched_param parameters = {};
  if (sched_setscheduler(info[0].As<Napi::Number>().Int32Value(), SCHED_IDLE, &parameters) == 0) return Napi::Boolean::New(env, true);
  if (errno != ESRCH) ThrowErrno(env, "sched_setscheduler", errno);
  return Napi::Boolean::New(env, false);
}

}  // namespace

void RegisterProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("exitNow", Napi::Function::New<ExitNow>(env, "exitNow"));
  exports.Set("setThreadIdle", Napi::Function::New<SetThreadIdle>(env, "setThreadIdle"));
}

}  // namespace airlock
