"""A mail server of aiosmtpd's for the tests, which keeps what it takes in a Maildir. One JSON object as argument:
port, maildir, tls ("off", "starttls", "required"), and where there is TLS certificate and key; user and password, if it asks for them.
It refuses nobody@… for good, and later@… for now. It runs until its input is closed."""

import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

wanted = json.loads(sys.argv[1])


class Keeper(Mailbox):
    async def handle_RCPT(self, server, session, envelope, address, options):
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
