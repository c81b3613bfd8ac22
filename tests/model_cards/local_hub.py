"""A small server that speaks the Hub's HTTP API, for tests: repositories in memory, real sockets.

It supports create, validate-yaml, preupload, the LFS batch, uploads, commit, info, tree and resolve
as `huggingface_hub` calls them. `fail` makes the next matching requests fail: with a status, or by
a connection that breaks before or after the request has taken effect.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


TOKEN = "hf_token_of_the_tests"
LFS_SUFFIXES = (".safetensors", ".png")
EMPTY_REPO = hashlib.sha1(b"").hexdigest()


def git_blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """Commits, oldest first: (id, {path: content}, message)."""

    private: bool
    commits: list = field(default_factory=lambda: [(EMPTY_REPO, {}, "initial commit")])

    def files(self, revision):
        """(commit id, files) of a branch or commit; None if there is none."""
        for oid, files, _ in reversed(self.commits):
            if revision in ("main", oid):
                return oid, files
        return None

    def commit(self, files, message):
        oid = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits.append((oid, files, message))
        return oid


@dataclass
class Fault:
    """A failure of the next `times` requests whose `METHOD /path` matches `pattern`."""

    pattern: str
    times: int
    status: int | None
    headers: dict
    cut_after: bool


class LocalHub(ThreadingHTTPServer):
    """The server; use as a context manager.

    Attributes:
        repos: Repositories by id.
        requests: `METHOD /path` of every request, in order.
        stored: Large files by SHA-256.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos, self.stored, self.requests, self.faults = {}, {}, [], []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """Ignore errors: broken connections are expected."""

    def fail(self, pattern, status=None, *, times=1, cut_after=False, **headers):
        """Answer matching requests with a status, or break the connection without one."""
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(pattern, times, status, shown, cut_after))

    def next_fault(self, request):
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return None

    def head(self, repo_id):
        """(commit id, files) of the newest commit."""
        return self.repos[repo_id].files("main")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; do not wait between them
    wbufsize = 1 << 16
    server: LocalHub

    def log_message(self, *args):
        """Log nothing."""

    def route(self):
        parts = urlsplit(self.path)
        self.query, path = parse_qs(parts.query), unquote(parts.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        fault = self.server.next_fault(f"{self.command} {path}")
        if fault is None:
            self.answer(*self.act(path, body))
        elif fault.status is not None:
            self.answer({"error": f"status {fault.status}"}, fault.status, fault.headers)
        else:
            if fault.cut_after:
                self.act(path, body)
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def act(self, path, body):
        for method, pattern, action in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                return getattr(self, action)(body, **found.groupdict())
        return {"error": f"no such route {path}"}, 404

    do_GET = do_POST = do_PUT = do_HEAD = route

    def answer(self, content, status=200, headers=None):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json", **(headers or {})}
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def is_writer(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def find(self, repo, revision="main"):
        """(repository, commit id, files) or the error reply."""
        repository = self.server.repos.get(repo)
        if repository is None or (repository.private and not self.is_writer):
            return {"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"}
        found = repository.files(revision)
        if found is None:
            return {"error": "Revision not found"}, 404, {"X-Error-Code": "RevisionNotFound"}
        return repository, *found

    def create(self, body):
        if not self.is_writer:
            return {"error": "Invalid username or password."}, 401
        wanted = json.loads(body)
        repo = "/".join(filter(None, [wanted.get("organization"), wanted["name"]]))
        exists = repo in self.server.repos
        if not exists:
            private = wanted.get("private") or wanted.get("visibility") == "private"
            self.server.repos[repo] = Repository(private=bool(private))
        reply = {"url": f"{self.server.url}/{repo}", "name": repo, "id": repo}
        return reply, 409 if exists else 200

    def validate(self, body):
        return {"errors": [], "warnings": []}, 200

    def preupload(self, body, repo, revision):
        if not self.is_writer:
            return {"error": "Invalid username or password."}, 401
        found = self.find(repo, revision)
        if isinstance(found[0], dict):
            return found
        files = []
        for file in json.loads(body)["files"]:
            path, held = file["path"], found[2].get(file["path"])
            is_large = path.endswith(LFS_SUFFIXES)
            digest = (lambda content: hashlib.sha256(content).hexdigest()) if is_large else None
            files.append(
                {
                    "path": path,
                    "uploadMode": "lfs" if is_large else "regular",
                    "shouldIgnore": False,
                    "oid": None if held is None else (digest or git_blob_id)(held),
                }
            )
        return {"files": files}, 200

    def batch(self, body, repo):
        if not self.is_writer:
            return {"error": "Invalid username or password."}, 401
        objects = []
        for item in json.loads(body)["objects"]:
            upload = {"href": f"{self.server.url}/large/{item['oid']}", "header": {}}
            verify = {"href": f"{self.server.url}/verify", "header": {}}
            actions = {"actions": {"upload": upload, "verify": verify}}
            objects.append({**item, **({} if item["oid"] in self.server.stored else actions)})
        return {"transfer": "basic", "objects": objects}, 200

    def store(self, body, oid):
        if hashlib.sha256(body).hexdigest() != oid:
            return {"error": "wrong hash"}, 400
        self.server.stored[oid] = body
        return b"", 200

    def verify(self, body):
        item = json.loads(body)
        held = self.server.stored.get(item["oid"])
        return {}, 200 if held is not None and len(held) == item["size"] else 404

    def commit(self, body, repo, revision):
        if not self.is_writer:
            return {"error": "Invalid username or password."}, 401
        found = self.find(repo, revision)
        if isinstance(found[0], dict):
            return found
        repository, _, held = found
        files = dict(held)
        header, *items = (json.loads(line) for line in body.decode().splitlines())
        for item in items:
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.server.stored:
                    return {"error": f"{value['path']}: content was never uploaded"}, 400
                files[value["path"]] = self.server.stored[value["oid"]]
            else:
                assert item["key"] == "deletedFile", item
                del files[value["path"]]
        oid = repository.commit(files, header["value"]["summary"])
        return {"commitUrl": f"{self.server.url}/{repo}/commit/{oid}", "commitOid": oid}, 200

    def info(self, body, repo, revision="main"):
        found = self.find(repo, revision)
        if isinstance(found[0], dict):
            return found
        repository, oid, files = found
        return {
            "id": repo,
            "sha": oid,
            "private": repository.private,
            "siblings": [
                {"rfilename": path, **(describe(path, content) if self.query else {})}
                for path, content in files.items()
            ],
        }, 200

    def tree(self, body, repo, revision, folder=""):
        found = self.find(repo, revision)
        if isinstance(found[0], dict):
            return found
        prefix = f"{folder}/" if folder else ""
        listed = []
        for path, content in found[2].items():
            is_deep = "/" in path.removeprefix(prefix) and "recursive" not in str(self.query)
            if path.startswith(prefix) and not is_deep:
                entry = describe(path, content)
                listed.append({"type": "file", "path": path, "oid": entry["blobId"], **entry})
        return listed, 200

    def resolve(self, body, repo, revision, path):
        found = self.find(repo, revision)
        if isinstance(found[0], dict):
            return found
        _, oid, files = found
        if path not in files:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": oid}
            return {"error": "Entry not found"}, 404, headers
        content = files[path]
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": oid,
            "X-Linked-Size": len(content),
        }
        return content, 200, headers


def describe(path, content):
    """A file as listings show it."""
    entry = {"size": len(content), "blobId": git_blob_id(content)}
    if path.endswith(LFS_SUFFIXES):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {
            "sha256": digest, "oid": digest, "size": len(content), "pointerSize": 100,
        }  # fmt: skip
    return entry


NAME = r"(?P<repo>[^/]+/[^/]+?)"
KIND, PREFIX = "(?:models|datasets)", "(?:datasets/)?"
ROUTES = (
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("POST", rf"/api/{KIND}/{NAME}/preupload/(?P<revision>[^/]+)", "preupload"),
    ("POST", rf"/{PREFIX}{NAME}\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/large/(?P<oid>\w+)", "store"),
    ("POST", r"/verify", "verify"),
    ("POST", rf"/api/{KIND}/{NAME}/commit/(?P<revision>[^/]+)", "commit"),
    ("GET", rf"/api/{KIND}/{NAME}", "info"),
    ("GET", rf"/api/{KIND}/{NAME}/revision/(?P<revision>[^/]+)", "info"),
    ("GET", rf"/api/{KIND}/{NAME}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.*))?", "tree"),
    ("GET HEAD", rf"/{PREFIX}{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
)
