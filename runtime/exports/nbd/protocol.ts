/** Numbers of the NBD protocol: fixed newstyle negotiation and transmission (NetworkBlockDevice/nbd, doc/proto.md, "Values"). */

/** 64-bit magics as two 32-bit words. Everything on the wire is big-endian. */
export const Magic = {
  /** "NBDMAGIC", begins the server's greeting. */
  greeting: [0x4e42_444d, 0x4147_4943],
  /** "IHAVEOPT", ends the greeting and begins each of the client's options. */
  option: [0x4948_4156, 0x454f_5054],
  optionReply: [0x0003_e889, 0x0455_65a9],
  request: 0x2560_9513,
  simpleReply: 0x6744_6698,
  structuredReply: 0x668e_33ef,
} as const;

/** "Handshake flags" and the client's, which have the same values. */
export const Handshake = { fixedNewstyle: 1, noZeroes: 2 } as const;

/** "Option types". */
export const Option = {
  exportName: 1, abort: 2, list: 3, startTls: 5, info: 6, go: 7, structuredReply: 8, listMetaContext: 9, setMetaContext: 10,
} as const;

/** "Option reply types". */
export const Rep = {
  ack: 1, server: 2, info: 3, metaContext: 4,
  errUnsup: 0x8000_0001, errPolicy: 0x8000_0002, errInvalid: 0x8000_0003, errPlatform: 0x8000_0004, errTlsReqd: 0x8000_0005,
  errUnknown: 0x8000_0006, errShutdown: 0x8000_0007, errTooBig: 0x8000_0009,
} as const;

/** "NBD_INFO" types. */
export const Info = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** "Transmission flags". */
export const Transmission = {
  hasFlags: 1 << 0, readOnly: 1 << 1, sendFlush: 1 << 2, sendFua: 1 << 3, sendTrim: 1 << 5, sendWriteZeroes: 1 << 6, sendDf: 1 << 7,
  canMultiConn: 1 << 8, sendFastZero: 1 << 11,
} as const;

/** "Request types". */
export const Command = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, cache: 5, writeZeroes: 6, blockStatus: 7 } as const;

/** "Command flags". */
export const CommandFlag = { fua: 1, noHole: 2, dontFragment: 4, reqOne: 8, fastZero: 16 } as const;

/** "Structured reply flags" and "Structured reply types". */
export const Chunk = { done: 1, none: 0, offsetData: 1, blockStatus: 5, error: 0x8001 } as const;

/** "Error values". */
export const Errno = { ok: 0, perm: 1, io: 5, nomem: 12, inval: 22, nospc: 28, overflow: 75, notsup: 95, shutdown: 108 } as const;
export type Errno = (typeof Errno)[keyof typeof Errno];

/** The one metadata context there is, and the id this server gives it. */
export const baseAllocation = { name: "base:allocation", id: 1 } as const;

export const optionHeaderBytes = 16;
export const requestBytes = 28;
export const simpleReplyBytes = 16;
export const chunkHeaderBytes = 20;

/** Longest name, description or other text on the wire ("The protocol in detail": strings SHOULD NOT exceed 4096 bytes). */
export const maxTextBytes = 4_096;

/**
 * Longest payload of a request or reply: what proto.md ("Block size constraints") says a server should take from a client that
 * asked for no constraints; also the most the Volume takes.
 */
export const maxPayloadBytes = 32 * 2 ** 20;
