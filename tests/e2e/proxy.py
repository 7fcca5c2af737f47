"""Between the pool and a node: answers that get lost, calls that hang, a node that is cut off."""
import http.client
import http.server
import json
import threading
import time


class Proxy:
    """An HTTP proxy on 127.0.0.1:port to a node on loopback. Each fault is a set of RPC methods:

    lost: the node gets the call, its answer gets lost; hang: the node gets nothing, and no answer comes;
    unknown: the node does not know this method.
    up = False: connections are cut at once. `calls` counts by method. on_call(methods) runs before the node gets
    it, on_answer(methods) before the pool does; what is true there cuts the connection.
    """

    def __init__(self, node_port):
        proxy = self
        self.lost, self.hang, self.unknown, self.up, self.calls = set(), set(), set(), True, {}
        self.on_call = self.on_answer = lambda methods: False
        self.ending, self.lock = threading.Event(), threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.post(self, body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a pool that is killed leaves its requests

        self.node_port = node_port
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def count(self, method):
        with self.lock:
            return self.calls.get(method, 0)

    def post(self, handler, body):
        calls = json.loads(body)
        methods = {c.get("method") for c in (calls if isinstance(calls, list) else [calls])}
        with self.lock:
            for method in methods:
                self.calls[method] = self.calls.get(method, 0) + 1
        if not self.up or self.on_call(methods):
            handler.close_connection = True
            return
        if methods & self.hang:
            self.silence(handler, methods, "hang")
            return
        for method in methods & self.unknown:
            body = body.replace(method.encode(), b"no" + method.encode())
        try:
            node = http.client.HTTPConnection("127.0.0.1", self.node_port, timeout=300)
            headers = {k: v for k, v in handler.headers.items() if k.lower() in ("authorization", "content-type")}
            node.request("POST", handler.path, body, headers)
            answer = node.getresponse()
            text = answer.read()
            node.close()
        except (OSError, http.client.HTTPException):
            handler.close_connection = True
            return
        if methods & self.lost or not self.up:
            self.silence(handler, methods, "lost")
            return
        if self.on_answer(methods):
            handler.close_connection = True
            return
        try:
            handler.send_response(answer.status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(text)))
            handler.end_headers()
            handler.wfile.write(text)
        except OSError:
            handler.close_connection = True  # the pool has given up

    def silence(self, handler, methods, fault):
        handler.close_connection = True
        while methods & getattr(self, fault) and self.up and not self.ending.is_set():
            time.sleep(0.05)

    def close(self):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
