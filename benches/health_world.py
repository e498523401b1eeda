#!/usr/bin/env python3
"""The world around benches/health.sh: fills a registry and a cluster, or hangs.

    health_world.py tags HOST:PORT COUNT          an image, a cache, and COUNT tags of montage-ai
    health_world.py cluster KUBECONFIG NODES PODS nodes and pods, in the namespace montage-ai
    health_world.py silent FOLDER                 two ports and FOLDER/engine.sock that take calls and say nothing; prints the ports

Only the standard library is used.
"""

import base64
import concurrent.futures
import hashlib
import http.client
import json
import re
import socket
import ssl
import sys
import threading

LOCAL = threading.local()


def ask(connect, method, path, body=b"", headers=None):
    """One question over the thread's own connection; what was answered."""
    if not hasattr(LOCAL, "connection"):
        LOCAL.connection = connect()
    LOCAL.connection.request(method, path, body, headers or {})
    answer = LOCAL.connection.getresponse()
    said = answer.read()
    if answer.status >= 400 and answer.status != 409:
        sys.exit(f"health_world: {method} {path}: {answer.status} {said[:300]}")
    return answer


def tags(address, count):
    host, port = address.split(":")

    def put(method, path, body=b"", kind="application/octet-stream"):
        return ask(lambda: http.client.HTTPConnection(host, int(port)), method, path, body, {"Content-Type": kind})

    def blob(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        place = put("POST", "/v2/montage-ai/blobs/uploads/").getheader("Location")
        path = re.sub(r"^https?://[^/]*", "", place)
        put("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}", data)
        return {"digest": digest, "size": len(data)}

    oci = "application/vnd.oci.image."
    layer = {**blob(b"a layer"), "mediaType": oci + "layer.v1.tar+gzip"}

    def image(number):
        config = {"os": "linux", "architecture": "amd64", "created": f"2026-11-22T{number // 60 % 24:02}:{number % 60:02}:00Z",
                  "number": number, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        config = {**blob(json.dumps(config).encode()), "mediaType": oci + "config.v1+json"}
        manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": [layer]}
        put("PUT", f"/v2/montage-ai/manifests/v{number:04}", json.dumps(manifest).encode(), oci + "manifest.v1+json")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(image, range(count)))
    config = {**blob(b"{}"), "mediaType": "application/vnd.buildkit.cacheconfig.v0"}
    notes = {"buildkit/createdat": "2026-11-22T11:00:00Z", "containerd.io/uncompressed": layer["digest"]}
    cache = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config,
             "layers": [{**layer, "annotations": notes}]}
    put("PUT", "/v2/montage-ai/manifests/buildcache", json.dumps(cache).encode(), oci + "manifest.v1+json")


def cluster(path, nodes, pods):
    with open(path, encoding="utf-8") as file:
        config = file.read()
    host, port = re.search(r"https://([^:]+):(\d+)", config).groups()
    token = re.search(r"name: token\n  user: \{token: (\w+)\}", config)[1]
    authority = base64.b64decode(re.search(r"certificate-authority-data: ([^}]*)\}", config)[1]).decode()
    context = ssl.create_default_context(cadata=authority)

    def send(method, path, body, kind="application/json"):
        ask(lambda: http.client.HTTPSConnection(host, int(port), context=context), method, path, json.dumps(body).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": kind})

    def node(number):
        name, now = f"bench-{number:03}", "2026-11-22T12:00:00Z"
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now, "lastTransitionTime": now}
        send("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        status = {"conditions": [ready], "allocatable": {"cpu": "8", "memory": "32Gi"},
                  "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.20.2"}}
        send("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, "application/strategic-merge-patch+json")

    def pod(number):
        box = {"name": "main", "image": "x", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
        spec = {"nodeName": f"bench-{number % nodes:03}", "automountServiceAccountToken": False, "containers": [box]}
        meta = {"name": f"bench-{number}", "labels": {"app": "other"}}
        send("POST", "/api/v1/namespaces/montage-ai/pods", {"metadata": meta, "spec": spec})

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(node, range(nodes)))
        list(pool.map(pod, range(pods)))


def silent(folder):
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    engine = socket.socket(socket.AF_UNIX)
    engine.bind(f"{folder}/engine.sock")
    engine.listen()
    print(*(port.getsockname()[1] for port in ports), flush=True)
    # Calls are taken by the kernel, and nobody ever answers them.
    threading.Event().wait()


def main():
    match sys.argv[1:]:
        case ["tags", address, count]:
            tags(address, int(count))
        case ["cluster", path, nodes, pods]:
            cluster(path, int(nodes), int(pods))
        case ["silent", folder]:
            silent(folder)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
