"""The instance metadata service of EC2 (IMDSv2) on 127.0.0.1: it announces that the instance will be reclaimed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKEN, TTL = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"

NOTICE = '{"action": "terminate", "time": "2026-01-01T00:02:00Z"}'


@dataclass
class Service:
    """Its state; it listens on ``port``."""

    port: int = 0
    notice: str = ""  # the body of spot/instance-action
    tokens: list[str] = field(default_factory=list)  # issued and still valid
    announced: int = 0  # times that the notice was sent

    @property
    def url(self) -> str:
        """The value for AWS_EC2_METADATA_SERVICE_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, path: str, ttl: str | None) -> tuple[int, str]:
        """Respond to a PUT with this lifetime."""
        if path != "/latest/api/token" or ttl is None or not 1 <= int(ttl) <= 21600:
            return 400, ""
        self.tokens.append(f"token-{len(self.tokens)}")
        return 200, self.tokens[-1]

    def get(self, path: str, token: str | None) -> tuple[int, str]:
        """Respond to a GET with this token."""
        if token not in self.tokens:
            return 401, ""
        if not self.notice or path != "/latest/meta-data/spot/instance-action":
            return 404, ""
        self.announced += 1
        return 200, self.notice


@contextmanager
def metadata_service() -> Iterator[Service]:
    """Start the service, without a notice."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.respond(*service.put(self.path, self.headers[TTL]))

        def do_GET(self) -> None:
            self.respond(*service.get(self.path, self.headers[TOKEN]))

        def respond(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
