"""A machine's metadata service as EC2 has it (IMDSv2), on 127.0.0.1: it announces that the machine is taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKEN, TTL = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"

NOTICE = '{"action": "terminate", "time": "2026-01-01T00:02:00Z"}'


@dataclass
class Service:
    """What it knows; ``port`` is where it answers."""

    port: int = 0
    notice: str = ""  # the body of spot/instance-action
    tokens: list[str] = field(default_factory=list)  # given out, and still good
    told: int = 0  # times that the notice was given

    @property
    def url(self) -> str:
        """As AWS_EC2_METADATA_SERVICE_ENDPOINT names it."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, path: str, ttl: str | None) -> tuple[int, str]:
        """The answer to a PUT with that lifetime."""
        if path != "/latest/api/token" or ttl is None or not 1 <= int(ttl) <= 21600:
            return 400, ""
        self.tokens.append(f"token-{len(self.tokens)}")
        return 200, self.tokens[-1]

    def get(self, path: str, token: str | None) -> tuple[int, str]:
        """The answer to a GET with that token."""
        if token not in self.tokens:
            return 401, ""
        if not self.notice or path != "/latest/meta-data/spot/instance-action":
            return 404, ""
        self.told += 1
        return 200, self.notice


@contextmanager
def metadata_service() -> Iterator[Service]:
    """One that has no notice yet."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.say(*service.put(self.path, self.headers[TTL]))

        def do_GET(self) -> None:
            self.say(*service.get(self.path, self.headers[TOKEN]))

        def say(self, status: int, text: str) -> None:
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
