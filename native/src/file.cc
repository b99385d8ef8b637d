// read(2) and write(2) on non-blocking descriptors: "would block" is a return value, where fs.readSync throws an Error each time.
#include <unistd.h>

#include <cerrno>

#include "addon.h"

namespace airlock {
namespace {

struct Span {
  uint8_t* data;
  size_t size;
};

/// Arguments (fd, bytes, offset): the part of the Uint8Array behind the offset. Throws when they do not fit.
bool SpanArgument(const Napi::CallbackInfo& info, Span* span) {
  if (info.Length() > 2 && info[1].IsTypedArray() && info[2].IsNumber()) {
    const Napi::TypedArray array = info[1].As<Napi::TypedArray>();
    const double offset = info[2].As<Napi::Number>().DoubleValue();
    if (array.TypedArrayType() == napi_uint8_array && offset >= 0 && offset <= static_cast<double>(array.ByteLength())) {
      const size_t start = static_cast<size_t>(offset);
      span->data = info[1].As<Napi::Uint8Array>().Data() + start;
      span->size = array.ByteLength() - start;
      return true;
    }
  }
  Napi::TypeError::New(info.Env(), "arguments are a descriptor, a Uint8Array and an offset within it").ThrowAsJavaScriptException();
  return false;
}

Napi::Value Transfer(const Napi::CallbackInfo& info, const char* call, bool write) {
  Napi::Env env = info.Env();
  Span span = {nullptr, 0};
  const int fd = FdArgument(info, 0);
  if (fd < 0 || !SpanArgument(info, &span)) return env.Undefined();
  ssize_t done;
  do {
    done = write ? ::write(fd, span.data, span.size) : ::read(fd, span.data, span.size);
  } while (done < 0 && errno == EINTR);
  if (done >= 0) return Napi::Number::New(env, static_cast<double>(done));
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Napi::Number::New(env, -1);
  ThrowErrno(env, call, errno);
  return env.Undefined();
}

/// read(fd, bytes, offset): number of bytes read, 0 at the end, -1 when nothing is there.
Napi::Value Read(const Napi::CallbackInfo& info) {
  return Transfer(info, "read", false);
}

/// write(fd, bytes, offset): number of bytes written, -1 when there is no room.
Napi::Value Write(const Napi::CallbackInfo& info) {
  return Transfer(info, "write", true);
}

}  // namespace

void RegisterFile(Napi::Env env, Napi::Object exports) {
  exports.Set("read", Napi::Function::New<Read>(env, "read"));
  exports.Set("write", Napi::Function::New<Write>(env, "write"));
}

}  // namespace airlock
