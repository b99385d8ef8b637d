/** The framing of QEMU's stream and socket network backends: a length of four bytes, highest first, before each frame. */

const lengthBytes = 4;

/** QEMU's own limit (NET_BUFSIZE): no backend of QEMU sends more, and none takes more. */
export const maxFramedBytes = 4_096 + 65_536;

/** Puts each frame's length before it, all in one buffer. */
export function joinFrames(frames: readonly Uint8Array[]): Uint8Array {
  const total = frames.reduce((sum, { length }) => sum + lengthBytes + length, 0);
  // Every byte is written below.
  const bytes = Buffer.allocUnsafeSlow(total);
  let at = 0;
  for (const frame of frames) {
    at = bytes.writeUInt32BE(frame.length, at);
    bytes.set(frame, at);
    at += frame.length;
  }
  return bytes;
}

/** Cuts a byte stream into frames. */
export class FrameSplitter {
  /** The beginning of a frame whose end has not come yet: pieces, less than a frame and its length in all. */
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  /** Bytes from the beginning of the unfinished frame's length to its end, once the length is known. */
  #wanted = lengthBytes;

  /**
   * The frames that end within this chunk; they are views of it where they lie in it as a whole. A string says why what
   * came is no such stream: nothing after it can be made sense of.
   */
  push(chunk: Uint8Array): Uint8Array[] | string {
    const frames: Uint8Array[] = [];
    let bytes = chunk;
    if (this.#pieceBytes > 0) {
      this.#pieces.push(chunk);
      this.#pieceBytes += chunk.length;
      // One copy per frame, however small its pieces are.
      if (this.#pieceBytes < this.#wanted) return frames;
      bytes = Buffer.concat(this.#pieces, this.#pieceBytes);
      this.#pieces = [];
      this.#pieceBytes = 0;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    this.#wanted = lengthBytes;
    while (bytes.length - at >= lengthBytes) {
      const length = view.getUint32(at);
      if (length === 0 || length > maxFramedBytes) return `a frame of ${length} bytes; there are 1 to ${maxFramedBytes}`;
      const end = at + lengthBytes + length;
      if (end > bytes.length) {
        this.#wanted = lengthBytes + length;
        break;
      }
      frames.push(bytes.subarray(at + lengthBytes, end));
      at = end;
    }
    if (at < bytes.length) {
      this.#pieces = [bytes.subarray(at)];
      this.#pieceBytes = bytes.length - at;
    }
    return frames;
  }
}
