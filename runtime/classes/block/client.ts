/** The block client: checks every call against what the device is, and hands it to the shadow. */
import { AirlockError } from "../../api/errors.ts";
import { BlockCall } from "./block-call.ts";
import { BlockFlag, BlockOp } from "./contract.ts";
import type { BlockShadow } from "./shadow.ts";
import type { Volume, VolumeInfo } from "./volume.ts";

/** Largest size of one call: what NBD clients take as the limit where none is told. */
export const maxCallSizeBytes = 33_554_432;

/** Opens the volume behind a shadow; any number may be open at once. */
export function openClient(shadow: BlockShadow): Volume {
  return new OpenVolume(shadow);
}

class OpenVolume implements Volume {
  readonly #shadow: BlockShadow;
  #closed: AirlockError | undefined;

  constructor(shadow: BlockShadow) {
    this.#shadow = shadow;
  }

  info(): Promise<VolumeInfo> {
    return this.#closed === undefined ? this.#shadow.info(this) : Promise.reject(this.#closed);
  }

  read(offset: number, sizeBytes: number, into?: Uint8Array): Promise<Uint8Array> {
    if (into !== undefined && into.length !== sizeBytes) return Promise.reject(this.#invalid(`a buffer of ${into.length} bytes for ${sizeBytes}`));
    return this.#submit(BlockOp.read, 0, offset, sizeBytes, into) as Promise<Uint8Array>;
  }

  write(offset: number, data: Uint8Array, options: { readonly fua?: boolean } = {}): Promise<void> {
    if (!(data instanceof Uint8Array)) return Promise.reject(this.#invalid("data is a Uint8Array"));
    return this.#submit(BlockOp.write, flags(options), offset, data.length, data) as Promise<void>;
  }

  flush(): Promise<void> {
    return this.#submit(BlockOp.flush, 0, 0, 0) as Promise<void>;
  }

  writeZeroes(offset: number, sizeBytes: number, options: { readonly fua?: boolean; readonly mayDiscard?: boolean } = {}): Promise<void> {
    return this.#submit(BlockOp.writeZeroes, flags(options), offset, sizeBytes) as Promise<void>;
  }

  discard(offset: number, sizeBytes: number): Promise<void> {
    return this.#submit(BlockOp.discard, 0, offset, sizeBytes) as Promise<void>;
  }

  close(): void {
    if (this.#closed !== undefined) return;
    this.#closed = new AirlockError("Closed", "the volume was closed by its client");
    this.#shadow.abandon(this, this.#closed);
  }

  #submit(op: BlockOp, callFlags: number, offset: number, sizeBytes: number, data?: Uint8Array): Promise<Uint8Array | undefined> {
    const info = this.#shadow.told;
    if (info === undefined && this.#closed === undefined) return this.info().then(() => this.#submit(op, callFlags, offset, sizeBytes, data));
    const refusal = this.#closed ?? this.#shadow.refusal ?? this.#refuse(info!, op, offset, sizeBytes);
    if (refusal !== undefined) return Promise.reject(refusal);
    if (sizeBytes === 0 && op !== BlockOp.flush) return Promise.resolve(op === BlockOp.read ? new Uint8Array(0) : undefined);
    const { blockBytes } = info!;
    return new Promise((resolve, reject) => {
      this.#shadow.submit(new BlockCall(op, callFlags, offset / blockBytes, sizeBytes / blockBytes, data, { owner: this, resolve, reject }));
    });
  }

  #refuse(info: VolumeInfo, op: BlockOp, offset: number, sizeBytes: number): AirlockError | undefined {
    const { blockBytes } = info;
    if (op === BlockOp.flush) return undefined;
    // A remainder of NaN or of a fraction is not 0 either.
    if (offset % blockBytes !== 0 || sizeBytes % blockBytes !== 0) {
      return this.#invalid(`offset ${offset} and size ${sizeBytes} are whole numbers of blocks of ${blockBytes} bytes`);
    }
    if (sizeBytes < 0 || sizeBytes > maxCallSizeBytes) return this.#invalid(`a size of ${sizeBytes} bytes; one call has 0 to ${maxCallSizeBytes}`);
    if (offset < 0 || offset + sizeBytes > info.sizeBytes) {
      return this.#invalid(`${sizeBytes} bytes at ${offset} are not within the volume, which has ${info.sizeBytes}`);
    }
    if (op === BlockOp.read) return undefined;
    if (info.readOnly) return new AirlockError("Unsupported", "the volume is read-only", { status: "readOnly" });
    if (op === BlockOp.writeZeroes && !info.writeZeroes) return this.#unable("the device cannot write zeroes by itself; write a block of them");
    return op === BlockOp.discard && !info.discard ? this.#unable("the device knows no discard; leave it out") : undefined;
  }

  #unable(text: string): AirlockError {
    return new AirlockError("Unsupported", text, { status: "unsupported" });
  }

  #invalid(text: string): AirlockError {
    return new AirlockError("InvalidArgument", text);
  }
}

function flags({ fua = false, mayDiscard = false }: { readonly fua?: boolean; readonly mayDiscard?: boolean }): number {
  return (fua ? BlockFlag.fua : 0) | (mayDiscard ? BlockFlag.mayDiscard : 0);
}
