/** How much data the benchmarks of backups work on: little by default, that of the demands with BENCH_FULL=1. */
export function backupSizes(): { readonly mebibytes: number; readonly rows: number } {
  const full = process.env.BENCH_FULL === '1';
  return {
    mebibytes: Number(process.env.BENCH_MIB ?? (full ? 5_120 : 256)),
    // A row is about 140 bytes in a dump.
    rows: Number(process.env.BENCH_ROWS ?? (full ? 3_600_000 : 200_000)),
  };
}
