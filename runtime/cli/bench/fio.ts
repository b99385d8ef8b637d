/** fio against an NBD server: one job at a time, its rate from fio's own JSON report. */
import { AirlockError } from "../../api/errors.ts";
import { runProgram } from "./programs.ts";

/** One pattern of access. */
export interface FioJob {
  readonly name: string;
  readonly rw: "randread" | "randwrite" | "read" | "write";
  readonly blockBytes: number;
  readonly depth: number;
}

export interface FioFigures {
  readonly iops: number;
  readonly mibPerSecond: number;
  /** Completion latency, microseconds. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** What fio needs beside the time it measures. */
const overheadMs = 20_000;

/** Runs a job for some seconds on part of the export. @throws AirlockError Unsupported when fio fails */
export async function runFio(fio: string, uri: string, job: FioJob, seconds: number, sizeBytes: number): Promise<FioFigures> {
  const args = [
    "--output-format=json", "--name", job.name, "--ioengine=nbd", `--uri=${uri}`, `--rw=${job.rw}`, `--bs=${job.blockBytes}`, `--iodepth=${job.depth}`,
    `--size=${sizeBytes}`, "--time_based=1", `--runtime=${seconds}`, "--randrepeat=1", "--norandommap=1", "--thread=1", "--group_reporting=1",
  ];
  const output = await runProgram(fio, args, seconds * 1000 + overheadMs);
  const side = job.rw.endsWith("read") ? "read" : "write";
  // fio prints remarks before its report.
  const report = JSON.parse(output.slice(output.indexOf("{"))) as { jobs?: readonly Record<string, FioSide | undefined>[] };
  const figures = report.jobs?.[0]?.[side];
  if (figures === undefined) throw new AirlockError("Unsupported", `fio gave no figures for ${job.name}; this build knows the reports of fio 3`);
  const percentile = (share: string): number => Math.round((figures.clat_ns?.percentile?.[share] ?? 0) / 100) / 10;
  return { iops: Math.round(figures.iops), mibPerSecond: Math.round(figures.bw_bytes / 2 ** 20), p50Micros: percentile("50.000000"), p99Micros: percentile("99.000000") };
}

interface FioSide {
  readonly iops: number;
  readonly bw_bytes: number;
  readonly clat_ns?: { readonly percentile?: Readonly<Record<string, number>> };
}
