#!/usr/bin/env bash
# How much a dashboard grows that stays open beside build after build: its resident memory behind each, and the growth behind the
# first 50.
#
#   bash benches/dashboard-growth.sh            200 builds on the test engine
#   BUILDS=100 LAYERTOP=… bash benches/dashboard-growth.sh
#
# Target: less than 5 % behind the first 50.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "dashboard-growth: needs python3" >&2; exit 1; }
[ -n "${LAYERTOP:-}" ] || cargo build --profile dist --quiet
LAYERTOP=$(realpath "${LAYERTOP:-${CARGO_TARGET_DIR:-target}/dist/layertop}")
ENV=$(bash tests/testbed/engine up)
eval "$ENV"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export XDG_DATA_HOME=$WORK/data XDG_STATE_HOME=$WORK/state LAYERTOP
mkdir -p "$WORK/project/src"
cat > "$WORK/project/Dockerfile" <<D
FROM $REGISTRY/base/miniconda3:latest
RUN echo growth
COPY src/ src/
RUN seq 200
D
cat > "$WORK/project/layertop.toml" <<T
[image]
registry = "$REGISTRY"
name = "bench/growth"
[build]
builder = "multiarch-builder"
T
python3 - "$WORK/project" "${BUILDS:-200}" <<'PYTHON'
import fcntl, os, pty, select, struct, subprocess, sys, termios, threading

project, builds = sys.argv[1], int(sys.argv[2])
layertop = os.environ["LAYERTOP"]
pid, fd = pty.fork()
if pid == 0:
    os.chdir(project)
    os.environ["TERM"] = "xterm-256color"
    os.execv(layertop, [layertop])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

def drain():
    try:
        while os.read(fd, 1 << 16):
            pass
    except OSError:
        pass

threading.Thread(target=drain, daemon=True).start()

def resident():
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

seen = []
for n in range(builds):
    with open(f"{project}/src/n.txt", "w", encoding="ascii") as file:
        file.write(f"{n}\n")
    done = subprocess.run([layertop, "build", "--progress", "quiet"], cwd=project, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"dashboard-growth: build {n} ended with {done.returncode}")
    seen.append(resident())
    if n % 25 == 24:
        print(f"after {n + 1:>3} builds: {seen[-1]:,} kB", flush=True)
os.write(fd, b"q")
os.waitpid(pid, 0)
first = min(50, builds // 2)
# The mean of the last ten on either side: a single reading has whatever the moment holds.
base, last = (sum(part) / len(part) for part in (seen[first - 10:first], seen[-10:]))
print(f"growth behind the first {first}: {100 * (last / base - 1):.1f} %   < 5 %")
PYTHON
