/** Answers with a payload that breaks its layout. */
import type { FaultDefinition } from "./fault.ts";

const malformed: FaultDefinition = {
  name: "malformed",
  title: "answers with a malformed message",
  where: "now",
  run: ({ intercept, put }) => intercept((kind, id, tag, payload) => put(kind, id, tag, new Uint8Array(payload.length + 1).fill(0xff))),
  detectedAs: ["protocol-violation"],
};

export default malformed;
