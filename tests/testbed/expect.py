#!/usr/bin/env python3
"""An independent reading of recorded progress streams, for the tests to be held against.

  expect.py FOLDER                     read every FOLDER/*.jsonl again, keep what only the recorder knew
  expect.py FOLDER FILE EXIT RECORDS   one file; RECORDS is a JSON list of BuildKit's own counts, newest build last

It shares no code with the program on purpose, and knows of nothing but the bytes. What it writes, FOLDER/expected.json:

  {"first.jsonl": {
     "exit": 0,                            buildx's exit code
     "records": [{"total": 30, "cached": 2, "completed": 30, "status": "completed"}],   BuildKit's own, one a build; [] where none was kept
     "vertices": {"total": 30, "cached": 2},
     "steps": [{"platform", "stage", "index", "of", "instruction", "stream_says", "pulled"}]}}

`stream_says`: hit (ever marked cached), failed, cancelled, open (started, never completed), ran, never started. A FROM
that was only resolved is said to have run. `pulled`: a status of the vertex says that a blob was fetched or unpacked.
`platform` is the one that is built for; `on` stands beside it where the step runs on another, `target` where bake named one.

Two things that BuildKit does are undone here. A COPY --link is two vertices of one progress group (`COPY --link` and
`LINK COPY --link`): one step. The RUN steps after it have lost their platform (`[final 5/6] RUN …` once for each): it is
taken from what they were made from.
"""

import json
import re
import sys
from pathlib import Path

# Vertices that buildx adds on its own side; BuildKit does not know of them and does not count them.
CLIENT_SIDE = (
    "resolving provenance for metadata file",
    "[internal] load local bake definitions",
    "[internal] booting buildkit",
)
STEP = re.compile(r"^\[(?P<words>[^\]]*?)\s*(?P<index>\d+)/(?P<of>\d+)\] (?P<instruction>.*)$", re.DOTALL)
SYSTEMS = ("linux/", "windows/", "darwin/", "freebsd/")


# Of a step's vertices, the one that says most speaks for it.
WEIGHT = ["never started", "hit", "ran", "open", "cancelled", "failed"]


def client_side(name: str) -> bool:
    return re.sub(r"^\[\S+\] (?!load|booting)", "", name) in CLIENT_SIDE or name in CLIENT_SIDE


def values(data: bytes):
    """The JSON values of a stream; lines that are none are passed over."""
    for line in data.splitlines():
        if line.startswith(b"{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def platform_of(word: str):
    """`linux/amd64->arm64` runs on linux/amd64 and builds for linux/arm64."""
    on, arrow, target = word.partition("->")
    if not on.startswith(SYSTEMS):
        return None
    if not arrow:
        return on, None
    return (target if target.startswith(SYSTEMS) else on.split("/")[0] + "/" + target), on


def split_name(name: str):
    """`[worker linux/amd64->arm64 build 3/12] RUN make`: bake's target, platform, stage, number, instruction."""
    found = STEP.match(name)
    if not found:
        return None
    words = found["words"].split()
    at = next((i for i, word in enumerate(words) if platform_of(word)), None)
    platform, on = platform_of(words[at]) if at is not None else (None, None)
    if at is not None:
        before, after = words[:at], words[at + 1 :]
    else:
        before, after = words[:-1], words[-1:]
    return {
        "target": " ".join(before) or None,
        "platform": platform,
        "on": on,
        "stage": " ".join(after) or None,
        "index": int(found["index"]),
        "of": int(found["of"]),
        "instruction": found["instruction"],
    }


def inherited_platform(digest: str, vertices: dict, named: dict):
    """The platform of the nearest ancestor that has one."""
    front, seen = [digest], set()
    while front:
        for d in front:
            if named.get(d) and named[d]["platform"]:
                return named[d]["platform"]
        seen.update(front)
        front = [i for d in front if d in vertices for i in vertices[d]["inputs"] if i not in seen]
    return None


def read(data: bytes) -> dict:
    vertices: dict[str, dict] = {}
    pulled: set[str] = set()
    for value in values(data):
        for v in value.get("vertexes") or []:
            known = vertices.setdefault(v["digest"], {"name": "", "inputs": [], "group": None, "started": False, "open": False, "cached": False, "error": ""})
            known["name"] = v.get("name") or known["name"]
            known["inputs"] += [i for i in v.get("inputs") or [] if i not in known["inputs"]]
            known["group"] = v.get("progressGroup") or known["group"]
            known["cached"] |= bool(v.get("cached"))
            known["error"] = v.get("error") or known["error"]
            if v.get("started"):
                known["started"] = True
                known["open"] = not v.get("completed")
        for s in value.get("statuses") or []:
            if re.match(r"^(extracting )?sha256:", s.get("id", "")):
                pulled.add(s["vertex"])

    counted = [v for v in vertices.values() if v["name"] and not client_side(v["name"])]
    named = {d: split_name(v["name"]) for d, v in vertices.items()}
    # Two vertices of one name are one step for two platforms.
    names = [v["name"] for v in vertices.values()]
    steps: dict[tuple, dict] = {}
    for digest, v in vertices.items():
        name = named[digest]
        if not name:
            continue
        if not name["platform"] and names.count(v["name"]) > 1:
            name = name | {"platform": inherited_platform(digest, vertices, named)}
        if v["cached"]:
            says = "hit"
        elif v["error"]:
            says = "cancelled" if "context canceled" in v["error"] else "failed"
        elif not v["started"]:
            says = "never started"
        else:
            says = "open" if v["open"] else "ran"
        step = {
            "platform": name["platform"],
            "stage": name["stage"],
            "index": name["index"],
            "of": name["of"],
            "instruction": name["instruction"][:60],
            "stream_says": says,
            "pulled": digest in pulled,
        }
        for extra in ("on", "target"):
            if name[extra]:
                step[extra] = name[extra]
        key = (name["target"], step["platform"], step["stage"], step["index"])
        twin = steps.get(key)
        if twin:
            if not v["group"]:
                raise SystemExit(f"two vertices for one step: {v['name']}")
            if twin["instruction"].startswith("LINK "):
                twin["instruction"] = step["instruction"]
            twin["stream_says"] = max(twin["stream_says"], says, key=WEIGHT.index)
            twin["pulled"] |= step["pulled"]
        else:
            steps[key] = step
    return {
        "vertices": {"total": len(counted), "cached": sum(v["cached"] for v in counted)},
        "steps": sorted(steps.values(), key=lambda s: (s["platform"] or "", s["stage"] or "", s["index"])),
    }


def main() -> int:
    folder = Path(sys.argv[1])
    path = folder / "expected.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if len(sys.argv) > 2:
        file, code, records = sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
        known[file] = {"exit": code, "records": records}
    out = {}
    for recording in sorted(folder.glob("*.jsonl")):
        entry = known.get(recording.name, {"exit": None, "records": []})
        out[recording.name] = {"exit": entry["exit"], "records": entry["records"]} | read(recording.read_bytes())
    path.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")

    wrong = 0
    for file, entry in out.items():
        # One build of one target: its record must say what the stream says.
        if len(entry["records"]) == 1:
            theirs = {k: entry["records"][0][k] for k in ("total", "cached")}
            if theirs != entry["vertices"]:
                print(f"{file}: BuildKit's record says {theirs}, the stream {entry['vertices']}", file=sys.stderr)
                wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
