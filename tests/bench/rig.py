"""What the measurements share: processes that end with us, /proc, the load tools, the switch under test and its configuration."""

import csv
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
CALLER, CALLEE, SECURE, SIP_PORT = "127.0.0.2", "127.0.0.3", "127.0.0.4", 5080
TOKEN = "of-the-bench"
RTP_BASE = 20000  # of medload's two ends, on their own loopback addresses
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Failed(Exception):
    """A measurement could not be made; the others go on."""


def wait_for(what, seconds, condition):
    """Looks until `condition()` is true; the last resort where nobody announces it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise Failed(f"waited {seconds} s in vain: {what}")


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.bind(("127.0.0.1", 0))
        return tcp.getsockname()[1]


def udp_bound(address, port):
    packed = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    return f" {packed}:{port:04X} " in Path("/proc/net/udp").read_text()


@contextmanager
def running(command, log, **options):
    """A child that ends with the block, by its own pid."""
    with open(log, "ab") as output:
        child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def cpu_ms(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MS


def rss_kb(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KB


def settled(read, seconds=3):
    """The value once it stays the same for 200 ms, or after `seconds`."""
    deadline, value, since = time.monotonic() + seconds, read(), time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < 0.2:
        time.sleep(0.02)
        now = read()
        if now != value:
            value, since = now, time.monotonic()
    return value


class Tools:
    """The compiled load tools and a scratch folder."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cordboard-bench-"))
        for name, libraries in (("medload", ["-lsrtp2", "-luring"]), ("fwd_epoll", [])):
            subprocess.run(["cc", "-O2", "-pthread", "-o", self.folder / name, HERE / f"{name}.c", *libraries], check=True)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, **options):
        """Runs medload to its end; its last line as a dictionary."""
        command = [self.folder / "medload"]
        for name, value in options.items():
            command += [f"-{name}", value]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120 + options.get("hold", 0))
        if done.returncode != 0 or not done.stdout.strip():
            raise Failed(f"medload: {done.stderr.strip() or 'no output'}")
        return json.loads(done.stdout.strip().splitlines()[-1]) | {"complaints": done.stderr.strip()}

    def medload(self, calls, hold_s, **options):
        """Calls that are all answered and hung up: medload's figures, and what follows from them."""
        figures = self.load(n=calls, hold=hold_s, **options)
        if options.get("mode") != "raw" and figures["answered"] < calls:
            raise Failed(f"only {figures['answered']} of {calls} calls were answered: {figures['complaints']}")
        figures["cpu_share"] = figures["cpu_s"] / figures["window_s"]
        figures["loss"] = 1 - figures["received"] / max(figures["sent"], 1)
        return figures

    def short_calls(self, pid, port, number, rate, calls):
        """SIPp calls of one second without media: CPU ms a call, failures, retransmissions."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            uas = ["sipp", "-sf", HERE / "uas.xml", "-i", CALLEE, "-p", SIP_PORT, "-mi", CALLEE, "-mp", 17000, "-nostdin"]
            uas += ["-trace_stat", "-stf", "uas.csv", "-fd", 1, "-cp", free_port()]
            uac = ["sipp", "-sf", HERE / "uac.xml", "-s", number, "-i", CALLER, "-p", SIP_PORT, "-mi", CALLER, "-mp", 16000]
            uac += ["-r", rate, "-m", calls, "-l", 20000, "-nostdin", "-trace_stat", "-stf", "uac.csv", "-fd", 1]
            uac += ["-timeout", int(60 + 2 * calls / rate), "-cp", free_port(), f"127.0.0.1:{port}"]
            with running(uas, folder / "uas.log", cwd=folder):
                wait_for("SIPp's callee listens", 5, lambda: udp_bound(CALLEE, SIP_PORT))
                before = cpu_ms(pid)
                with open(folder / "uac.log", "ab") as log:
                    subprocess.run([str(c) for c in uac], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                spent = settled(lambda: cpu_ms(pid)) - before
            rows = [row for row in csv.reader(open(folder / "uac.csv"), delimiter=";") if row]
            last = dict(zip(rows[0], rows[-1]))
        good = int(last["SuccessfulCall(C)"])
        if good < calls:
            raise Failed(f"only {good} of {calls} short calls were good")
        return {"cpu_ms": spent / good, "retransmissions": int(last["Retransmissions(C)"])}


def receive_overflows():
    """Datagrams that the kernel had no room for, in all sockets since it started."""
    heads, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Udp:"))
    return int(dict(zip(heads, values))["RcvbufErrors"])


@contextmanager
def floor(tools, calls, base=30000):
    """The plain forwarder; gives what `Tools.medload` wants for it."""
    with open(tools.folder / "floor.map", "w") as out:
        for i in range(calls):
            out.write(f"{RTP_BASE + 2 * i} {RTP_BASE + 2 * i} {base + 4 * i} {base + 4 * i + 2}\n")
    with running([tools.folder / "fwd_epoll", calls, base, RTP_BASE], tools.folder / "floor.log") as child:
        wait_for("the floor listens", 5, lambda: udp_bound("127.0.0.1", base + 4 * (calls - 1)))
        yield {"mode": "raw", "map": tools.folder / "floor.map", "pid": child.pid}


class Switch:
    """A running Cordboard with the bench configuration."""

    def __init__(self, child, site):
        self.pid, self.sip, self.tls, self.http, self.recordings = child.pid, site.sip, site.tls, site.http, site.folder / "recordings"

    def ready(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=1).status == 200
        except OSError:
            return False

    def asked(self, path, timeout=30):
        """The answer of the API to a GET."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        return urllib.request.urlopen(request, timeout=timeout)

    def items(self, path):
        """Every item of a list of the API, whatever pages it comes in."""
        found, cursor = [], ""
        while True:
            page = json.load(self.asked(f"{path}?limit=1000{cursor}"))
            found += page["items"]
            if not page["next"]:
                return found
            cursor = f"&cursor={page['next']}"

    def metric(self, name):
        """A total of /metrics without labels."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=5).read().decode()
        found = re.search(rf"^cordboard_{name} (\d+)$", text, re.MULTILINE)
        if not found:
            raise Failed(f"/metrics has no {name}")
        return int(found.group(1))

    def wait_until_written(self, files):
        """Each recording is whole once the sidecar beside it has its digest."""

        def done():
            rows = (json.loads(path.read_text()) for path in self.recordings.rglob("*.json"))
            return sum(1 for row in rows if row.get("sha256")) >= files

        wait_for(f"{files} recordings are finished", 120, done)

    def lost_ms(self):
        """What all recordings say that they lost, on both sides."""
        return sum(sum(json.loads(path.read_text()).get("lost_ms", [])) for path in self.recordings.rglob("*.json"))


MENU = """\
name = "long"
language = "en"
start = "prompt"

[node.prompt]
kind = "play"
prompt = "long"
next = "node:end"

[node.end]
kind = "hangup"
"""

CONFIGURATION = """\
# Made by scripts/bench: calls from {caller} are a trunk; 5000 goes to the callee, 5001 the same recorded, 5003 encrypted on both sides;
# 5002 hears a prompt of three minutes.
[site]
name = "Bench"
domain = "bench.example"
time_zone = "UTC"
country = "DE"

[sip]
udp = ["127.0.0.1:{sip}"]
tcp = ["127.0.0.1:{sip}"]
{tls}

[media]
listen = "127.0.0.1"
advertise = "127.0.0.1"
ports = "20000-29999"
io = "{io}"

[http]
listen = "127.0.0.1:{http}"

[recording]
folder = "../recordings"

[[trunk]]
name = "load"
peer = "{caller}"
probe = "off"                          # SIPp plays calls, and nothing else
transit = true                         # its callers reach the other trunk

[[trunk]]
name = "callee"
peer = "{callee}:{port}"
probe = "off"

[[inbound]]
trunk = "load"
number = "5000"
to = "number:95000"
record = false

[[inbound]]
trunk = "load"
number = "5001"
to = "number:95001"

[[inbound]]
trunk = "load"
number = "5002"
to = "menu:long"
record = false

[[inbound]]
trunk = "load"
number = "5003"
to = "number:85003"
record = false

[[trunk]]
name = "secure"
peer = "{secure}:{port}"
probe = "off"
srtp = "required"

[[outbound]]
pattern = "8*"
strip = 1
trunk = ["secure"]

[[outbound]]
pattern = "9*"
strip = 1
trunk = ["callee"]
"""

def binary():
    """The release binary, built if need be; CORDBOARD_BINARY names another one."""
    named = os.environ.get("CORDBOARD_BINARY")
    if named:
        return Path(named).resolve()
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "cordboard"], cwd=TOP, check=True)
    metadata = subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=TOP, check=True, capture_output=True)
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release" / "cordboard"


class Site:
    """A folder with the bench configuration and `more` behind it, and the ports that it names; `secure` gives it a listener for TLS.
    A switch may be started in it again, and has what the one before left."""

    def __init__(self, tools, more="", secure=False, io="auto"):
        self.folder = Path(tempfile.mkdtemp(dir=tools.folder, prefix="site-"))
        for part in ("config", "config/menus", "config/prompts", "config/prompts/en"):
            (self.folder / part).mkdir()
        (self.folder / "config/menus/long.toml").write_text(MENU)
        with wave.open(str(self.folder / "config/prompts/en/long.wav"), "wb") as prompt:
            prompt.setparams((1, 2, 8000, 0, "NONE", ""))
            prompt.writeframes(b"".join(int(8000 * math.sin(n / 5)).to_bytes(2, "little", signed=True) for n in range(180 * 8000)))
        (self.folder / "recordings").mkdir()
        self.sip, self.tls, self.http = free_port(), free_port(), free_port()
        tls = f'tls = ["127.0.0.1:{self.tls}"]\n\n[tls]\nself_signed = true' if secure else ""
        names = {"caller": CALLER, "callee": CALLEE, "secure": SECURE, "port": SIP_PORT, "io": io}
        text = CONFIGURATION.format(sip=self.sip, tls=tls, http=self.http, **names)
        (self.folder / "config/cordboard.toml").write_text(text + more)

    @contextmanager
    def started(self, program):
        log = self.folder / "log"
        environment = os.environ | {"CORDBOARD_ADMIN_TOKEN": TOKEN}
        with running([program, "serve", "--config", "config/cordboard.toml"], log, cwd=self.folder, env=environment) as child:
            one = Switch(child, self)
            try:
                wait_for("the switch is ready", 15, lambda: child.poll() is not None or one.ready())
            except Failed as failed:
                raise Failed(f"{failed}\n{log.read_text()[-2000:]}") from None
            if child.poll() is not None:
                raise Failed(f"the switch ended at once:\n{log.read_text()[-2000:]}")
            yield one


@contextmanager
def switch(tools, program, more="", secure=False, io="auto"):
    """The switch in a site of its own."""
    with Site(tools, more, secure, io).started(program) as one:
        yield one


def version(program, pattern=r"\d+(\.\d+)+"):
    try:
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True)
    except OSError:
        return None
    found = re.search(pattern, said.stdout + said.stderr)
    return found.group(0) if found else "?"


if __name__ == "__main__":
    sys.exit("this is a part of scripts/bench")
