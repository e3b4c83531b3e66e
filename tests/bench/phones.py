"""Phones that register over UDP and TLS, by the thousand, and Kamailio as the registrar to compare with.

Each phone has a socket of its own and answers a challenge at each registration, as most desk phones do: REGISTER, 401, REGISTER, 200 is
what "a registration" means here."""

import hashlib
import heapq
import re
import resource
import select
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import rig

PHONES = "127.0.0.4"
DOMAIN = "bench.example"
FIRST = 100000
EXPIRES_S = 300
T1_S = 0.5
ATTEMPTS = 6


def secret(number):
    return f"secret-of-{number}"


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Phone:
    """One phone: its socket, its dialog with the registrar, what it waits for."""

    def __init__(self, number, peer, context=None):
        self.number, self.peer, self.context, self.secure = number, peer, context, context is not None
        self.socket, self.cseq, self.waits, self.text = None, 0, None, b""

    def connect(self):
        kind = socket.SOCK_STREAM if self.secure else socket.SOCK_DGRAM
        plain = socket.socket(socket.AF_INET, kind)
        plain.bind((PHONES, 0))
        plain.settimeout(10)
        plain.connect(self.peer)
        self.socket = self.context.wrap_socket(plain, server_hostname=DOMAIN) if self.secure else plain
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def request(self, authorization=""):
        self.cseq += 1
        transport, scheme = ("TLS", ";transport=tls") if self.secure else ("UDP", "")
        contact = f"<sip:{self.number}@{PHONES}:{self.port}{scheme}>"
        return (
            f"REGISTER sip:{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/{transport} {PHONES}:{self.port};branch=z9hG4bK{self.number}x{self.cseq};rport\r\n"
            f"Max-Forwards: 70\r\n"
            f"From: <sip:{self.number}@{DOMAIN}>;tag=t{self.number}x{self.cseq}\r\n"
            f"To: <sip:{self.number}@{DOMAIN}>\r\n"
            f"Call-ID: {self.number}-at-the-bench\r\n"
            f"CSeq: {self.cseq} REGISTER\r\n"
            f"Contact: {contact}\r\n"
            f"Expires: {EXPIRES_S}\r\n"
            f"User-Agent: bench\r\n{authorization}"
            f"Content-Length: 0\r\n\r\n"
        ).encode()

    def answer(self, challenge):
        given = dict(re.findall(r'(\w+)="?([^",]+)', challenge))
        ha1 = md5(f"{self.number}:{given['realm']}:{secret(self.number)}")
        uri, cnonce, count = f"sip:{DOMAIN}", "0a4f113b", "00000001"
        ha2 = md5(f"REGISTER:{uri}")
        line = f'Authorization: Digest username="{self.number}", realm="{given["realm"]}", nonce="{given["nonce"]}", uri="{uri}"'
        if "qop" in given:
            response = md5(f"{ha1}:{given['nonce']}:{count}:{cnonce}:auth:{ha2}")
            line += f', qop=auth, nc={count}, cnonce="{cnonce}"'
        else:
            response = md5(f"{ha1}:{given['nonce']}:{ha2}")
        if "opaque" in given:
            line += f', opaque="{given["opaque"]}"'
        return self.request(f'{line}, response="{response}", algorithm=MD5\r\n')

    def read(self):
        """The whole messages that have come."""
        while True:
            try:
                some = self.socket.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                break
            if not some:
                raise rig.Failed(f"the registrar closed the connection of {self.number}")
            self.text += some
            if not self.secure:
                break
        while b"\r\n\r\n" in self.text:
            head, _, self.text = self.text.partition(b"\r\n\r\n")
            yield head.strip().decode()


class Phones:
    """Registers phones at a given rate, and retransmits over UDP (RFC 3261 timer E)."""

    def __init__(self):
        self.all, self.by_descriptor, self.poll = [], {}, select.epoll()
        self.retransmissions = 0

    def add(self, count, peer, context=None):
        """As many more; each connects when it registers for the first time."""
        first = FIRST + len(self.all)
        self.all += [Phone(number, peer, context) for number in range(first, first + count)]
        return self.all[-count:]

    def close(self):
        for phone in self.all:
            if phone.socket:
                phone.socket.close()
        self.poll.close()

    def _send(self, phone, message, due):
        phone.socket.send(message)
        phone.waits, phone.tries = message, 1
        if not phone.secure:
            heapq.heappush(due, (time.monotonic() + T1_S, phone.number, message))

    def register(self, phones, rate, answered=200):
        """Each of `phones` once, `rate` a second; returns when the last has its 200."""
        began, started, done, due = time.monotonic(), 0, 0, []
        deadline = began + len(phones) / rate + 30
        while done < len(phones):
            now = time.monotonic()
            if now > deadline:
                raise rig.Failed(f"only {done} of {len(phones)} phones are registered")
            while started < len(phones) and began + started / rate <= now:
                phone = phones[started]
                if not phone.socket:
                    phone.connect()
                    self.by_descriptor[phone.socket.fileno()] = phone
                    self.poll.register(phone.socket.fileno(), select.EPOLLIN)
                self._send(phone, phone.request(), due)
                started += 1
            while due and due[0][0] <= now:
                _, number, message = heapq.heappop(due)
                phone = self.all[number - FIRST]
                if phone.waits is message and phone.tries < ATTEMPTS:
                    phone.socket.send(message)
                    self.retransmissions += 1
                    heapq.heappush(due, (now + T1_S * 2**phone.tries, number, message))
                    phone.tries += 1
            next_one = began + started / rate if started < len(phones) else now + 0.2
            for descriptor, _ in self.poll.poll(max(0.0005, min(next_one - now, 0.2))):
                phone = self.by_descriptor[descriptor]
                for message in phone.read():
                    status = message.split(" ", 2)[1]
                    if phone.waits is None or not message.startswith("SIP/2.0 ") or f"CSeq: {phone.cseq} " not in message:
                        continue
                    if status == "401":
                        challenge = re.search(r"(?im)^WWW-Authenticate: Digest (.*)$", message)
                        self._send(phone, phone.answer(challenge[1]), due)
                    elif status == "200":
                        phone.waits, done = None, done + 1
                    elif not status.startswith("1"):
                        raise rig.Failed(f"{phone.number} is not registered: {message.splitlines()[0]}")
        return time.monotonic() - began


def descriptors(needed):
    """Raises the soft limit of open files, for as many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise rig.Failed(f"{needed} open files are needed, and the limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def trusting_anybody():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Family:
    """A process with its children: CPU and memory of them all, shared pages counted once."""

    def __init__(self, pid):
        self.pid = pid

    def pids(self):
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu_ms(self):
        return sum(rig.cpu_ms(pid) for pid in self.pids())

    def kb(self):
        total = 0
        for pid in self.pids():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"(?m)^Pss:\s+(\d+)", rollup)[1])
        return total


KAMAILIO = """\
debug=1
log_stderror=yes
fork=yes
children=2
tcp_children=2
tcp_max_connections=4096
tls_max_connections=4096
tcp_connection_lifetime=3605
disable_tcp=no
enable_tls=yes
auto_aliases=no
alias="{domain}"
listen=udp:127.0.0.1:{udp}
listen=tls:127.0.0.1:{tls}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "auth.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "tls.so"
modparam("usrloc", "hash_size", 14)
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", 300)
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{folder}/cert.pem")
modparam("tls", "private_key", "{folder}/key.pem")
modparam("tls", "verify_certificate", 0)
modparam("tls", "require_certificate", 0)
request_route {{
    if (method != "REGISTER") {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    if (!pv_www_authenticate("{domain}", "secret-of-$au", "0")) {{ www_challenge("{domain}", "1"); exit; }}
    if ($au != $tU) {{ sl_send_reply("403", "Forbidden"); exit; }}
    save("location");
}}
"""


@contextmanager
def kamailio(tools):
    """Kamailio as a registrar in memory; gives its address for UDP, for TLS, and its processes."""
    folder = Path(tempfile.mkdtemp(dir=tools.folder, prefix="kamailio-"))
    udp, tls = rig.free_port(), rig.free_port()
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    made += ["-subj", f"/CN={DOMAIN}", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([str(c) for c in made], check=True, capture_output=True)
    (folder / "kamailio.cfg").write_text(KAMAILIO.format(folder=folder, udp=udp, tls=tls, domain=DOMAIN))
    command = ["kamailio", "-f", folder / "kamailio.cfg", "-DD", "-E", "-m", 256, "-M", 16, "-w", folder, "-Y", folder]
    with rig.running(command, folder / "log") as child:
        try:
            rig.wait_for("Kamailio listens", 10, lambda: child.poll() is not None or rig.udp_bound("127.0.0.1", udp))
        except rig.Failed as failed:
            raise rig.Failed(f"{failed}\n{(folder / 'log').read_text()[-2000:]}") from None
        if child.poll() is not None:
            raise rig.Failed(f"Kamailio ended at once:\n{(folder / 'log').read_text()[-2000:]}")
        yield ("127.0.0.1", udp), ("127.0.0.1", tls), Family(child.pid)


def configuration(phones):
    """What the switch's configuration has beside, for so many phones."""
    lines = []
    for number in range(FIRST, FIRST + phones):
        lines.append(f'[[phone]]\nnumber = "{number}"\nsecret = "{secret(number)}"\n')
    return "\n".join(lines)
