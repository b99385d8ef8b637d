/** Answers one request twice. */
import type { FaultDefinition } from "./fault.ts";

const answerTwice: FaultDefinition = {
  name: "answer-twice",
  title: "answers a request twice",
  where: "now",
  run: ({ intercept, put }) => intercept((kind, id, tag, payload) => {
    put(kind, id, tag, payload);
    put(kind, id, tag, payload);
  }),
  detectedAs: ["protocol-violation"],
};

export default answerTwice;
