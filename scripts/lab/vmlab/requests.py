"""Requests of a guest to its host: one line in, one line back.

A script in the guest asks (`ask` in tests/vm/guest/lib.sh) for what only the host can do: to kill
the daemon, to grow a disk, to say how much a store holds. It goes on when it is done.
"""

import socketserver
import threading


class Requests:
    """Serves `handlers`, functions by the first word of the line; they take the others.

    What one returns is the answer; if it raises, the answer is "FAILED: " and why."""

    def __init__(self, handlers):
        self._handlers = handlers
        outer = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self):
                words = self.rfile.readline(4096).decode().split()
                self.wfile.write(outer._answer(words).encode() + b"\n")

        self._server = socketserver.TCPServer(("127.0.0.1", 0), Connection)
        self.port = self._server.server_address[1]

    def _answer(self, words):
        handler = self._handlers.get(words[0] if words else "")
        if handler is None:
            return "FAILED: no such request"
        try:
            answer = handler(*words[1:])
        except Exception as wrong:  # whatever it is, the guest has to be told
            return "FAILED: " + " ".join(f"{type(wrong).__name__} {wrong}".split())
        return "" if answer is None else str(answer)

    def __enter__(self):
        # One request at a time: a guest waits for its answer before it asks again.
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
