import { readFileSync, readdirSync } from "node:fs";
import type { Metrics } from "./metrics.ts";

const PAGE_BYTES = 4_096;

/** What Prometheus' own clients tell of their process, so that Kiam's dashboards find it here. */
export function reportProcess(metrics: Metrics): void {
  const started = Date.now() / 1_000 - process.uptime();
  let cpuBefore = 0;
  metrics.beforeScrape(() => {
    const { user, system } = process.cpuUsage();
    const cpu = (user + system) / 1e6;
    metrics.add("process_cpu_seconds_total", {}, cpu - cpuBefore);
    cpuBefore = cpu;
    metrics.set("process_start_time_seconds", {}, started);
    metrics.set("process_resident_memory_bytes", {}, process.memoryUsage.rss());
    const pages = Number.parseInt(read("/proc/self/statm"), 10);
    metrics.set("process_virtual_memory_bytes", {}, pages * PAGE_BYTES);
    metrics.set("process_open_fds", {}, readdirSync("/proc/self/fd").length);
    const limit = /^Max open files\s+(?<soft>\d+)/m.exec(read("/proc/self/limits"))?.groups?.[
      "soft"
    ];
    metrics.set("process_max_fds", {}, Number(limit));
  });
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}
