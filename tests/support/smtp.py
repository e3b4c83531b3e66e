"""A mail server of aiosmtpd's for the tests, which keeps what it takes in a Maildir. One JSON object as argument:
port, maildir, tls ("off", "starttls", "required"), and where there is TLS certificate and key; user and password, if it asks for them.
It refuses nobody@… for good, and later@… for now. `control` names a file with another object, looked at for each mail: "EHLO", "MAIL" and
"RCPT" are what it answers to these instead, "kill" is a process that gets SIGKILL `after_ms` after the next mail is taken. It runs until its input is
closed."""

import asyncio
import json
import os
import signal
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

wanted = json.loads(sys.argv[1])


def control():
    try:
        with open(wanted["control"], encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


class Keeper(Mailbox):
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return [control()["EHLO"]] if "EHLO" in control() else responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        if "MAIL" in control():
            return control()["MAIL"]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        answer = await super().handle_DATA(server, session, envelope)
        wish = control()
        if "kill" in wish:
            os.unlink(wanted["control"])
            # The answer goes out before that.
            asyncio.get_running_loop().call_later(wish["after_ms"] / 1000, os.kill, wish["kill"], signal.SIGKILL)
        return answer

    async def handle_RCPT(self, server, session, envelope, address, options):
        if "RCPT" in control():
            return control()["RCPT"]
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@"):
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login.decode(), data.password.decode()) == (wanted["user"], wanted["password"])
    return AuthResult(success=good, handled=good)


options = {"hostname": "127.0.0.1", "port": wanted["port"], "ready_timeout": 20}
if wanted.get("user"):
    options |= {"authenticator": authenticate, "auth_required": True}
if wanted["tls"] != "off":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(wanted["certificate"], wanted["key"])
    if wanted["tls"] == "required":
        # It knows no other way to say that the channel is safe than STARTTLS's.
        options |= {"ssl_context": context, "auth_require_tls": False}
    else:
        options |= {"tls_context": context, "require_starttls": True}
controller = Controller(Keeper(wanted["maildir"]), **options)
controller.start()
sys.stdin.read()
controller.stop()
