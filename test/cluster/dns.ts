import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { ControlPlane } from "./control-plane.ts";
import { API_URL } from "./control-plane.ts";
import { DNS_SERVICE, HUB } from "./network.ts";
import { launch } from "./process.ts";

export interface DnsOptions {
  readonly coredns: string;
  readonly controlPlane: ControlPlane;
  readonly folder: string;
  readonly logs: string;
  readonly resources: AsyncDisposableStack;
}

/** Starts CoreDNS beside the control plane, and gives it the address that pods are told to ask. */
export async function startDns(options: DnsOptions): Promise<void> {
  const { coredns, controlPlane, folder, logs, resources } = options;
  const config = join(folder, "Corefile");
  await writeFile(config, corefile(controlPlane.kubeconfig("dns")));
  resources.use(
    launch({
      name: "coredns",
      command: coredns,
      args: ["-conf", config],
      log: join(logs, "coredns.log"),
    }),
  );
  const ports = [{ name: "dns", protocol: "UDP", port: 53 }];
  await controlPlane.api.call("POST", "/api/v1/namespaces/kube-system/services", {
    metadata: { name: "kube-dns" },
    spec: { clusterIP: DNS_SERVICE, ports },
  });
  await controlPlane.api.call(
    "POST",
    "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices",
    {
      metadata: {
        name: "kube-dns",
        labels: { "kubernetes.io/service-name": "kube-dns" },
      },
      addressType: "IPv4",
      endpoints: [{ addresses: [HUB], conditions: { ready: true } }],
      ports,
    },
  );
}

function corefile(kubeconfig: string): string {
  return `.:53 {
    bind ${HUB}
    errors
    kubernetes cluster.local {
        endpoint ${API_URL}
        kubeconfig ${kubeconfig} test
        ttl 1
    }
}
`;
}
