import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { defineClass } from "../../runtime/api/contract.ts";
import { bool, bytes, oneOf, u16, u53 } from "../../runtime/api/layout.ts";
import { wordLayout } from "../../runtime/api/words.ts";
import { contractModules } from "./contract-modules.ts";
import { contractsHeader } from "./contracts-header.ts";

test("shims/abi/contracts.h is what the contracts say; node dist/shims/tools/generate-contracts.js writes it", async () => {
  const modules = await contractModules();
  expect(modules.map(({ name }) => name)).toEqual(expect.arrayContaining(["block", "net", "rtc", "serial"]));
  expect(readFileSync(fileURLToPath(new URL("../abi/contracts.h", import.meta.url)), "utf8")).toBe(contractsHeader(modules));
});

test("every kind of field, event and queue becomes C", () => {
  const contract = defineClass({
    name: "gadget", version: 3,
    operations: {
      setMode: {
        treatment: "config", deadlineMs: 1, reply: {},
        args: { break: bool(), mode: oneOf("slowly", "fastMode"), level: u16(1, 9), at: u53(), data: bytes(32) },
      },
    },
    events: { overHeat: { count: u16() } },
    queues: { io: { request: wordLayout("tag", "iovaLow"), completion: wordLayout("tag"), deadlineMs: 1, depth: 8 } },
  });
  const text = contractsHeader([{ name: "gadget", contract, exports: { gadget: contract, maxLevel: 9, GadgetState: { ok: 0, worn: 1 }, text: "x" } }]);
  const from = text.indexOf("#define AIRLOCK_GADGET_CONTRACT");
  expect(text.slice(from, text.indexOf("\n\n#endif"))).toBe(`#define AIRLOCK_GADGET_CONTRACT 3u
#define AIRLOCK_GADGET_STATE_OK 0u
#define AIRLOCK_GADGET_STATE_WORN 1u
#define AIRLOCK_GADGET_MAX_LEVEL 9u

#define AIRLOCK_GADGET_SET_MODE 0u
#define AIRLOCK_GADGET_SET_MODE_ARGS_BYTES 14u
#define AIRLOCK_GADGET_SET_MODE_ARGS_MOST_BYTES 46u
#define AIRLOCK_GADGET_SET_MODE_ARGS_MODE_SLOWLY 0u
#define AIRLOCK_GADGET_SET_MODE_ARGS_MODE_FAST_MODE 1u
struct airlock_gadget_set_mode_args {
	airlock_u8 break_; /* 0 or 1 */
	airlock_u8 mode;
	airlock_u16 level; /* 1..9 */
	double at; /* 0..9007199254740991 */
	airlock_u16 data_bytes;
	airlock_u8 data[];
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_gadget_set_mode_args) == 14, "layout");
_Static_assert(__builtin_offsetof(struct airlock_gadget_set_mode_args, break_) == 0, "layout");
_Static_assert(__builtin_offsetof(struct airlock_gadget_set_mode_args, mode) == 1, "layout");
_Static_assert(__builtin_offsetof(struct airlock_gadget_set_mode_args, level) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_gadget_set_mode_args, at) == 4, "layout");
_Static_assert(__builtin_offsetof(struct airlock_gadget_set_mode_args, data) == 14, "layout");
#define AIRLOCK_GADGET_SET_MODE_REPLY_BYTES 0u

#define AIRLOCK_GADGET_EVENT_OVER_HEAT 0u
#define AIRLOCK_GADGET_OVER_HEAT_EVENT_BYTES 2u
struct airlock_gadget_over_heat_event {
	airlock_u16 count; /* 0..65535 */
} __attribute__((packed));
_Static_assert(sizeof(struct airlock_gadget_over_heat_event) == 2, "layout");
_Static_assert(__builtin_offsetof(struct airlock_gadget_over_heat_event, count) == 0, "layout");

#define AIRLOCK_GADGET_QUEUE_IO 0u
#define AIRLOCK_GADGET_QUEUE_IO_DEPTH 8u
#define AIRLOCK_GADGET_IO_REQUEST_WORDS 2u
#define AIRLOCK_GADGET_IO_REQUEST_AT_TAG 0u
#define AIRLOCK_GADGET_IO_REQUEST_AT_IOVA_LOW 1u
struct airlock_gadget_io_request {
	airlock_u32 tag;
	airlock_u32 iova_low;
};
_Static_assert(sizeof(struct airlock_gadget_io_request) == 8, "layout");
#define AIRLOCK_GADGET_IO_COMPLETION_WORDS 1u
#define AIRLOCK_GADGET_IO_COMPLETION_AT_TAG 0u
struct airlock_gadget_io_completion {
	airlock_u32 tag;
};
_Static_assert(sizeof(struct airlock_gadget_io_completion) == 4, "layout");`);
});
