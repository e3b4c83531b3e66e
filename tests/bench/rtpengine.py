"""The rival: rtpengine in user space, driven by its ng protocol (a cookie, a space, a bencoded dictionary, over UDP)."""

import shutil
import socket
from contextlib import contextmanager

import rig

SDP = (
    "v=0\r\no=- {id} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)


def encode(value):
    match value:
        case int():
            return b"i%de" % value
        case str():
            return encode(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case list():
            return b"l" + b"".join(encode(v) for v in value) + b"e"
        case dict():
            return b"d" + b"".join(encode(k) + encode(value[k]) for k in sorted(value)) + b"e"
    raise TypeError(value)


def decode(data, at=0):
    """Gives the value and the index after it."""
    match data[at : at + 1]:
        case b"i":
            end = data.index(b"e", at)
            return int(data[at + 1 : end]), end + 1
        case b"l" | b"d" as kind:
            at, items = at + 1, []
            while data[at : at + 1] != b"e":
                item, at = decode(data, at)
                items.append(item)
            return (items if kind == b"l" else dict(zip(items[::2], items[1::2]))), at + 1
        case _:
            colon = data.index(b":", at)
            end = colon + 1 + int(data[at:colon])
            return data[colon + 1 : end], end


class Ng:
    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(2)
        self.socket.connect(("127.0.0.1", port))
        self.cookies = 0

    def ask(self, **command):
        self.cookies += 1
        cookie = b"c%d" % self.cookies
        for _ in range(3):  # UDP; the same cookie is answered from its cache
            self.socket.send(cookie + b" " + encode({k.replace("_", "-"): v for k, v in command.items()}))
            try:
                while True:
                    got, _, body = self.socket.recv(65536).partition(b" ")
                    if got == cookie:
                        return decode(body)[0]
            except (TimeoutError, ConnectionRefusedError):
                continue
        raise rig.Failed(f"rtpengine does not answer {command['command']}")

    def sdp_port(self, **command):
        answer = self.ask(**command)
        if answer.get(b"result") != b"ok":
            raise rig.Failed(f"rtpengine: {answer}")
        line = next(l for l in answer[b"sdp"].decode().splitlines() if l.startswith("m=audio "))
        return int(line.split()[1])


@contextmanager
def relaying(tools, calls):
    """rtpengine with `calls` bridged calls; gives what `Tools.medload` wants for it."""
    if not shutil.which("rtpengine"):
        raise rig.Failed("rtpengine is not here (scripts/setup bench)")
    control = rig.free_port()
    command = ["rtpengine", "--table=-1", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{control}", "--port-min=40000"]
    command += ["--port-max=49998", "--foreground", "--log-stderr", "--log-level=4", f"--pidfile={tools.folder}/rtpengine.pid"]
    with rig.running(command, tools.folder / "rtpengine.log") as child:
        rig.wait_for("rtpengine listens", 10, lambda: child.poll() is None and rig.udp_bound("127.0.0.1", control))
        ng = Ng(control)
        with open(tools.folder / "rtpengine.map", "w") as out:
            for i in range(calls):
                port = rig.RTP_BASE + 2 * i
                one = {"call_id": f"bench-{i}", "from_tag": f"a{i}", "replace": ["origin"], "ICE": "remove"}
                to_callee = ng.sdp_port(command="offer", sdp=SDP.format(id=i, host=rig.CALLER, port=port), **one)
                to_caller = ng.sdp_port(command="answer", to_tag=f"b{i}", sdp=SDP.format(id=i, host=rig.CALLEE, port=port), **one)
                # Each end sends to the port in the SDP that it was given: the caller in the answer, the callee in the offer.
                out.write(f"{port} {port} {to_caller} {to_callee}\n")
        yield {"mode": "raw", "map": tools.folder / "rtpengine.map", "pid": child.pid}
