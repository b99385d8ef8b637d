{
  "targets": [
    {
      "target_name": "airlock",
      "sources": [
        "src/addon.cc", "src/arguments.cc", "src/errors.cc", "src/file.cc", "src/line_settings.cc", "src/page_registry.cc", "src/pages.cc",
        "src/poll.cc", "src/process.cc", "src/processor.cc", "src/pty.cc", "src/shared_memory.cc",
        "src/tap.cc", "src/tap_reader.cc"
      ],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": [
        "-std=c++17", "-fno-exceptions", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror",
        "-isystem", "<!(node -p \"path.resolve(require('node-addon-api').include_dir)\")"
      ],
      "defines": [
        "NAPI_VERSION=8",
        "NAPI_DISABLE_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "conditions": [
        ["OS!='linux'", { "type": "none" }]
      ]
    }
  ]
}
