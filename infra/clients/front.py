"""What stands in front of `iib serve`, as docs/KERBEROS.md has it: TLS, and who writes shows a ticket.

The ticket is a text with a name in it, no Kerberos. Arguments: own port, certificate, key, and the port of the
service.
"""

import base64
import http.client
import http.server
import json
import re
import ssl
import sys

USER_HEADER = "X-Remote-User"
PASSED_ON = ("Host", "Content-Type", "Content-Length", "Accept", "User-Agent")


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        headers["X-Forwarded-Proto"] = "https"
        if self.command in ("POST", "PATCH"):
            user = self.user()
            if user is None:
                refusal = json.dumps({"error": "no ticket"}).encode()
                return self.answer(
                    401, [("WWW-Authenticate", "Negotiate"), ("Content-Type", "application/json")], refusal
                )
            headers[USER_HEADER] = user
        service = http.client.HTTPConnection("127.0.0.1", int(sys.argv[4]), timeout=60)
        try:
            service.request(self.command, self.path, body or None, headers)
            answer = service.getresponse()
            kept = [
                (name, value)
                for name, value in answer.getheaders()
                if name.lower() in ("content-type", "location", "allow")
            ]
            self.answer(answer.status, kept, answer.read())
        finally:
            service.close()

    def user(self):
        try:
            kind, ticket = self.headers.get("Authorization", "").split(" ")
            named = re.fullmatch("ticket of (.+)", base64.b64decode(ticket, validate=True).decode())
        except ValueError:
            return None
        return named[1] if kind == "Negotiate" and named else None

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = pass_on

    def log_message(self, form, *values):
        print(
            self.headers.get("Authorization", "-")[:9] if hasattr(self, "headers") else "-", form % values, flush=True
        )


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Front)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    # Who only connects holds up nobody: the handshake is the thread's.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


main()
