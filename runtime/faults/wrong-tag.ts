/** Answers with a wrong tag. */
import type { FaultDefinition } from "./fault.ts";

const wrongTag: FaultDefinition = {
  name: "wrong-tag",
  title: "answers with a tag nobody asked for",
  where: "now",
  run: ({ intercept, put }) => intercept((kind, id, tag, payload) => put(kind, id, tag + 1_000_000, payload)),
  detectedAs: ["protocol-violation"],
};

export default wrongTag;
