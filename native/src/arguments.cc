// The checks of arguments that every call shares: JavaScript numbers are doubles, and sizes and descriptors are not.
#include <cmath>
#include <limits>
#include <string>

#include "addon.h"

namespace airlock {

namespace {

/// 2^53: above it not every integer is a double, and what arrives may not be what was meant.
constexpr double kIntegerLimit = 9007199254740992.0;

}  // namespace

int FdArgument(const Napi::CallbackInfo& info, size_t index) {
  if (info.Length() > index && info[index].IsNumber()) {
    const double value = info[index].As<Napi::Number>().DoubleValue();
    if (value >= 0 && value <= std::numeric_limits<int>::max() && value == std::floor(value)) return static_cast<int>(value);
  }
  Napi::TypeError::New(info.Env(), "a file descriptor is a non-negative integer").ThrowAsJavaScriptException();
  return -1;
}

bool IsInteger(const Napi::Value& value, uint64_t* integer) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number < kIntegerLimit) || number != std::floor(number)) return false;
  *integer = static_cast<uint64_t>(number);
  return true;
}

bool IntegerArgument(const Napi::CallbackInfo& info, size_t index, const char* name, uint64_t* integer) {
  if (info.Length() > index && IsInteger(info[index], integer)) return true;
  Napi::TypeError::New(info.Env(), std::string(name) + " is a non-negative integer below 2^53").ThrowAsJavaScriptException();
  return false;
}

}  // namespace airlock
