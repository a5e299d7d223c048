import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMetrics } from "./metrics.ts";
import { MetricFamily } from "./metric-family.ts";
import { reportProcess } from "./process-metrics.ts";

/** The lines of a text that begin so, without what says what they are. */
function lines(text: string, name: string): string[] {
  return text.split("\n").filter((line) => line.startsWith(name));
}

describe("createMetrics", () => {
  test("counts under each combination of labels, in the table's order", () => {
    const metrics = createMetrics();
    metrics.add("kiam_metadata_responses_total", { code: "200", handler: "credentials" });
    metrics.add("kiam_metadata_responses_total", { handler: "credentials", code: "200" }, 2);
    metrics.add("kiam_metadata_responses_total", { handler: "health", code: "500" });
    metrics.set("rolecall_ready", {}, 1);
    metrics.set("rolecall_ready", {}, 0);

    const { text, contentType } = metrics.expose();
    assert.equal(contentType, "text/plain; version=0.0.4; charset=utf-8");
    assert.deepEqual(lines(text, "kiam_metadata_responses_total"), [
      'kiam_metadata_responses_total{handler="credentials",code="200"} 3',
      'kiam_metadata_responses_total{handler="health",code="500"} 1',
    ]);
    assert.deepEqual(lines(text, "rolecall_ready"), ["rolecall_ready 0"]);
  });

  test("adds what each bucket of a histogram took to all larger ones", () => {
    const metrics = createMetrics();
    for (const seconds of [0.0005, 0.001, 0.003, 0.003, 100]) {
      metrics.observe("kiam_metadata_handler_latency_seconds", { handler: "roleName" }, seconds);
    }
    const told = lines(metrics.expose().text, "kiam_metadata_handler_latency_seconds");
    const counts = told.map((line) => line.replace(/^.*?\{handler="roleName",?/, ""));
    assert.deepEqual(
      [...counts.slice(0, 4), ...counts.slice(-4)],
      ['le="0.001"} 2', 'le="0.002"} 2', 'le="0.004"} 4', 'le="0.008"} 4'].concat([
        'le="4.096"} 4',
        'le="+Inf"} 5',
        "} 100.0075",
        "} 5",
      ]),
    );
  });

  test("asks before each scrape for what is not followed", () => {
    const metrics = createMetrics();
    let pods = 1;
    metrics.beforeScrape(() => metrics.set("rolecall_pods", {}, pods));
    assert.match(metrics.expose().text, /^rolecall_pods 1$/m);
    pods = 2;
    assert.match(metrics.expose().text, /^rolecall_pods 2$/m);
  });

  test("tells of the process what Kiam's dashboards look for", () => {
    const metrics = createMetrics();
    reportProcess(metrics);
    metrics.expose();
    const { text } = metrics.expose();
    const value = (name: string): number => Number(lines(text, `${name} `)[0]?.split(" ")[1]);

    assert.ok(Math.abs(value("process_cpu_seconds_total") - process.cpuUsage().user / 1e6) < 60);
    assert.ok(value("process_resident_memory_bytes") > 20e6);
    assert.ok(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
    assert.ok(value("process_open_fds") > 2);
    assert.ok(value("process_max_fds") >= value("process_open_fds"));
    assert.ok(
      Math.abs(value("process_start_time_seconds") + process.uptime() - Date.now() / 1e3) < 1,
    );
  });
});

describe("a metric family", () => {
  test("keeps to one line what a label or a help text holds", () => {
    const family = new MetricFamily("a", { type: "gauge", help: "one\ntwo \\", labels: ["b"] });
    family.at({ b: '"\n\\' }).value = -Infinity;
    assert.equal(
      family.expose(),
      '# HELP a one\\ntwo \\\\\n# TYPE a gauge\na{b="\\"\\n\\\\"} -Inf\n',
    );
  });

  test("holds a thousand series and no more, and goes on counting those", () => {
    const family = new MetricFamily("a", { type: "counter", help: "", labels: ["b"] });
    for (let b = 0; b < 2_000; b++) family.at({ b: String(b) }).value += 1;
    family.at({ b: "5" }).value += 1;
    assert.equal(lines(family.expose(), "a{").length, 1_000);
    assert.match(family.expose(), /^a\{b="5"\} 2$/m);
  });
});
