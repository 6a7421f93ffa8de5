"""The admin port, purges, readiness and new settings, with real processes."""

from __future__ import annotations

import http.client
import json
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LIMIT_S, Answer, EdgeProcess, FaultyOrigin, eventually

BODY = b"0123456789" * 1000
TAGGED = {"cache_control": "max-age=60", "surrogate_key": "news red"}


class Node:
    """An edge with an admin port, and what its operator does."""

    def __init__(self, folder: Path, settings: str, *arguments: str) -> None:
        self.config_file = folder / "edge.toml"
        self.token_file = folder / "token"
        self.config_file.write_text(settings)
        self.edge = EdgeProcess(
            [
                *("--config", str(self.config_file), "--listen", "127.0.0.1:0"),
                *("--admin", "127.0.0.1:0", "--admin-token-file", str(self.token_file)),
                *("--set", "prefetch.enabled=false"),
                *arguments,
            ],
            folder,
        )
        self.admin = self.edge.ready_line.rpartition("http://")[2].rstrip(")\n")

    def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(self.admin, timeout=LIMIT_S)
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, fields, answer.read())
        finally:
            connection.close()

    def change(self, path: str, body: object = None) -> Any:
        answer = self.ask("POST", path, body, token=self.token_file.read_text().strip())
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def purge(self, **what: object) -> int:
        count = self.change("/purge", what)["count"]
        assert isinstance(count, int)
        return count

    def ready(self) -> tuple[int, str]:
        answer = self.ask("GET", "/readyz")
        return answer.status, json.loads(answer.body)["status"]

    def hang_up(self, settings: str) -> None:
        """Write other settings, and say so."""
        self.config_file.write_text(settings)
        self.edge.process.send_signal(signal.SIGHUP)

    def told_on_hang_up(self, settings: str) -> str:
        """What it logs about such settings, which it refuses."""
        logged = len(self.edge.log())
        self.hang_up(settings)
        eventually(lambda: "config.refused" in self.edge.log()[logged:], "the refusal")
        return self.edge.log()[logged:]

    def wait_log(self, text: str) -> None:
        eventually(lambda: text in self.edge.log(), text)


StartNode = Callable[..., Node]


@pytest.fixture
def start_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartNode]:
    nodes: list[Node] = []

    def start(settings: str, *arguments: str) -> Node:
        nodes.append(Node(tmp_path_factory.mktemp("node"), settings, *arguments))
        return nodes[-1]

    yield start
    for node in nodes:
        node.edge.stop()


def one(origin: FaultyOrigin, more: str = "") -> str:
    return f'upstream = "{origin.url}"\n{more}'


def two(origin: FaultyOrigin, *names: str) -> str:
    return "".join(
        f'[[services]]\nname = "{name}"\nupstream = "{origin.url}/{name}"\n'
        f'hosts = ["{name}.example"]\n'
        for name in names
    )


# Purging


@pytest.mark.parametrize(
    "what", [{"url": "/purge/a"}, {"prefix": "/purge/"}, {"tag": "red"}, {"url": None}]
)
def test_purged_is_fetched_again(
    start_node: StartNode, origin: FaultyOrigin, what: dict[str, str | None]
) -> None:
    origin.serve("/purge/a", BODY, **TAGGED)
    node = start_node(one(origin))
    fetched = origin.count("/purge/a")
    for _ in range(2):
        answer = node.edge.get("/purge/a")
        assert answer.body == BODY
        assert "surrogate-key" not in answer.headers
    assert answer.is_hit
    named = {kind: value or f"{origin.url}/purge/a" for kind, value in what.items()}
    assert node.purge(**named) == 1
    assert not node.edge.get("/purge/a").is_hit
    assert node.edge.get("/purge/a").is_hit
    assert origin.count("/purge/a") == fetched + 2
    assert node.purge(tag="blue") == 0
    metrics = node.ask("GET", "/metrics").body.decode()
    assert "nearcast_edge_purges_total 2.0" in metrics
    assert "nearcast_edge_purged_objects_total 1.0" in metrics


def test_softly_purged_is_confirmed_by_upstream(
    start_node: StartNode, origin: FaultyOrigin
) -> None:
    def route(exchange: Any) -> None:
        if exchange.headers.get("if-none-match") == '"1"':
            exchange.reply(status=304, etag='"1"', cache_control="max-age=60")
        else:
            exchange.reply(BODY, etag='"1"', cache_control="max-age=60")

    origin.routes["/soft"] = route
    node = start_node(one(origin))
    node.edge.get("/soft")
    assert node.purge(url="/soft", soft=True) == 1
    answer = node.edge.get("/soft")
    assert (answer.body, answer.is_hit) == (BODY, False)
    assert "fwd-status=304" in answer.cache_status
    assert node.edge.get("/soft").is_hit


def test_purges_outlive_a_restart(
    start_node: StartNode, origin: FaultyOrigin, tmp_path: Path
) -> None:
    store = ("--store", str(tmp_path / "store"))
    origin.serve("/stay/a", BODY, **TAGGED)
    origin.serve("/stay/b", BODY, **TAGGED)
    node = start_node(one(origin), *store)
    for name in "ab":
        node.edge.get(f"/stay/{name}")
    assert node.purge(url="/stay/a") == 1
    assert node.purge(url="/stay/b", soft=True) == 1
    assert node.edge.stop() == 0
    node = start_node(one(origin), *store)
    assert not node.edge.get("/stay/a").is_hit
    assert not node.edge.get("/stay/b").is_hit
    assert node.purge(tag="red") == 2


def test_purge_command(start_node: StartNode, origin: FaultyOrigin, tmp_path: Path) -> None:
    origin.serve("/command", BODY, **TAGGED)
    node = start_node(one(origin))
    node.edge.get("/command")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nearcast", "edge", "purge", "--admin", node.admin, *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    token = ("--token-file", str(node.token_file))
    report = tmp_path / "report.json"
    done = run(*token, "--tag", "news", "--json", str(report))
    assert (done.returncode, done.stdout) == (0, "purged: 1\n"), done.stderr
    assert json.loads(report.read_text()) == {"count": 1, "soft": False, "tag": "news"}
    assert not node.edge.get("/command").is_hit
    wrong = tmp_path / "wrong"
    wrong.write_text("x" * 40)
    for arguments, reason in (
        (("--token-file", str(wrong), "--tag", "a"), "401"),
        (("--token-file", str(tmp_path / "none"), "--tag", "a"), "cannot read the token"),
        ((*token,), "give one of"),
        ((*token, "--tag", "a", "--url", "b"), "give one of"),
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


# Who may


def test_changes_need_the_token_and_the_admin_port(
    start_node: StartNode, origin: FaultyOrigin
) -> None:
    node = start_node(one(origin))
    token = node.token_file.read_text().strip()
    assert stat.S_IMODE(node.token_file.stat().st_mode) == 0o600
    assert len(token) >= 32
    for path in ("/purge", "/reload"):
        for wrong in (None, "", token[:-1], token + "x", token.upper()):
            answer = node.ask("POST", path, {"url": "/"}, token=wrong)
            assert answer.status == 401
            assert token not in answer.body.decode()
        assert node.ask("GET", path, token=token).status == 405
        assert node.edge.request("POST", path, b"{}", authorization=f"Bearer {token}").status == 404
    assert token not in node.edge.log()
    assert token not in node.ask("GET", "/.nearcast/status").body.decode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"url": "/a", "tag": "b"}', 400),
        (b'{"url": 1}', 400),
        (b'{"url": ""}', 400),
        (b'{"url": "/a", "sofd": true}', 400),
        (b'{"url": "/a", "soft": 1}', 400),
        (b"\xff", 400),
        (b'{"url": "http://other.example/"}', 404),
        (b'{"prefix": "/a"}', 404),
        (b'{"tag": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
def test_bad_purges_are_explained(
    origin: FaultyOrigin, bad: Node, body: bytes, status: int
) -> None:
    answer = bad.ask("POST", "/purge", body, token=bad.token_file.read_text().strip())
    assert answer.status == status, answer
    assert answer.body


@pytest.fixture(scope="module")
def bad(origin: FaultyOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("bad"), two(origin, "a", "b"))
    yield node
    node.edge.stop()


def test_without_a_token_nothing_can_be_changed(origin: FaultyOrigin, tmp_path: Path) -> None:
    with EdgeProcess(
        ["--upstream", origin.url, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], tmp_path
    ) as edge:
        admin = edge.ready_line.rpartition("http://")[2].rstrip(")\n")
        connection = http.client.HTTPConnection(admin, timeout=LIMIT_S)
        connection.request("POST", "/purge", b'{"url": "/"}', {"authorization": "Bearer x"})
        assert connection.getresponse().status == 403
        connection.close()


# Readiness


def test_a_node_says_whether_it_is_alive_and_ready(
    start_node: StartNode, origin: FaultyOrigin
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(exchange: Any) -> None:
        exchange.head(content_length=2)
        exchange.send(b"1")
        begun.set()
        go_on.wait(LIMIT_S)
        exchange.send(b"2")

    origin.routes["/drain"] = slowly
    node = start_node(one(origin))
    assert node.ask("GET", "/livez").status == 200
    assert node.ready() == (200, "ready")
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(node.edge.get("/drain")))
    asking.start()
    assert begun.wait(LIMIT_S)
    node.edge.process.send_signal(signal.SIGTERM)
    eventually(lambda: node.ready()[0] == 503, "not ready")
    assert node.ready() == (503, "draining")
    assert node.ask("GET", "/livez").status == 200
    go_on.set()
    asking.join(LIMIT_S)
    assert answers[0].body == b"12"
    assert node.edge.process.wait(LIMIT_S) == 0


def test_a_balancer_has_time_to_look_away(start_node: StartNode, origin: FaultyOrigin) -> None:
    origin.serve("/away", BODY)
    node = start_node(one(origin, "[server]\ndrain_delay_s = 60\n"))
    node.edge.process.send_signal(signal.SIGTERM)
    eventually(lambda: node.ready() == (503, "draining"), "not ready")
    assert node.edge.get("/away").body == BODY
    node.edge.process.send_signal(signal.SIGTERM)  # once more ends it at once
    assert node.edge.process.wait(LIMIT_S) == -signal.SIGTERM


def test_nothing_stored_and_no_upstream_is_not_ready(start_node: StartNode) -> None:
    node = start_node(
        'upstream = "http://127.0.0.1:1"\n[http]\nbreaker_failures = 1\nretry_budget_share = 0\n'
        "breaker_open_s = 60\nbreaker_open_s_max = 60\n"
    )
    assert node.ready() == (200, "ready")
    assert node.edge.get("/x").status in (502, 503)
    assert node.ready() == (503, "every upstream fails, and nothing is stored")


def test_health_is_for_this_machine_on_the_main_port(origin: FaultyOrigin, tmp_path: Path) -> None:
    with EdgeProcess(["--upstream", origin.url, "--listen", "127.0.0.1:0"], tmp_path) as edge:
        assert json.loads(edge.get("/.nearcast/readyz").body) == {"status": "ready"}
        assert edge.get("/.nearcast/livez").status == 200
        assert edge.get("/.nearcast/readyz", x_forwarded_for="192.0.2.1").status == 404
        assert edge.get("/readyz").status == 404  # upstream's word


# New settings


def test_hang_up_takes_over_services_and_limits(
    start_node: StartNode, origin: FaultyOrigin
) -> None:
    for name in "abc":
        origin.serve(f"/{name}/x", name.encode() * 100)
    node = start_node(two(origin, "a", "b"))
    assert node.edge.get("/x", host="a.example").body == b"a" * 100
    assert node.edge.get("/x", host="b.example").body == b"b" * 100
    assert node.edge.get("/x", host="c.example").status == 421
    node.hang_up('name = "other"\n[server]\ntarget_length_max = 100\n' + two(origin, "b", "c"))
    node.wait_log("config.reloaded")
    assert node.edge.get("/x", host="a.example").status == 421
    answer = node.edge.get("/x", host="b.example")
    assert answer.is_hit
    assert answer.cache_status.startswith("nearcast;")
    assert node.edge.get("/x", host="c.example").body == b"c" * 100
    assert node.edge.get("/" + "x" * 200, host="c.example").status == 414
    node.wait_log("config.needs_restart keys=name")
    status = json.loads(node.ask("GET", "/.nearcast/status").body)
    assert status["services"] == ["b", "c"]
    assert status["object_count"] == 2
    assert (status["reload_count"], status["reload_failure_count"]) == (1, 0)


BAD_SETTINGS = (
    ("upstream = ", "not valid TOML"),
    ('[[services]]\nname = "a"\n', r"services[0]"),
    ('upstream = "http://a"\n[http]\nstale_if_eror_s = 1\n', "unknown setting http.stale"),
    ('upstream = "http://a"\n[http]\nfills_max = 0\n', "http.fills_max"),
    ('upstream = "https://a"\n[service.tls]\nca_file = "/nowhere"\n', "/nowhere"),
    ('upstream = "http://a"\n[service.token]\nfile = "/nowhere"\n', "/nowhere"),
    ("", "no upstream is set"),
)


def test_bad_settings_change_nothing(start_node: StartNode, origin: FaultyOrigin) -> None:
    """One edge for all: each time it takes good ones afterwards."""
    origin.serve("/keep", BODY)
    node = start_node(one(origin))
    node.edge.get("/keep")
    for index, (settings, reason) in enumerate(BAD_SETTINGS):
        assert reason in node.told_on_hang_up(settings)
        assert node.edge.get("/keep").is_hit, settings
        status = json.loads(node.ask("GET", "/.nearcast/status").body)
        assert (status["reload_count"], status["reload_failure_count"]) == (index, 2 * index + 1)
        answer = node.ask("POST", "/reload", token=node.token_file.read_text().strip())
        assert answer.status == 400, settings
        assert reason in answer.body.decode()
        node.config_file.write_text(one(origin, f"[http]\nfills_max = {10 + index}\n"))
        assert node.change("/reload") == {"changed": ["http.fills_max"], "needs_restart": []}


def test_shorter_freshness_holds_for_what_is_stored(
    start_node: StartNode, origin: FaultyOrigin
) -> None:
    origin.serve("/plain", BODY, cache_control="public", etag='"1"')
    node = start_node(one(origin))
    node.edge.get("/plain")
    assert node.edge.get("/plain").is_hit
    node.config_file.write_text(one(origin, "[service]\ndefault_freshness_s = 0\n"))
    node.change("/reload")
    assert not node.edge.get("/plain").is_hit


def test_a_new_token_holds_at_once(start_node: StartNode, origin: FaultyOrigin) -> None:
    node = start_node(one(origin))
    old = node.token_file.read_text().strip()
    node.token_file.write_text("y" * 40 + "\n")
    assert node.ask("POST", "/reload", token=old).status == 200
    assert node.ask("POST", "/reload", token=old).status == 401
    assert node.ask("POST", "/reload", token="y" * 40).status == 200


def test_no_request_is_lost_while_settings_change(
    start_node: StartNode, origin: FaultyOrigin
) -> None:
    for name in "ab":
        for number in range(5):
            origin.serve(f"/{name}/load/{number}", BODY, cache_control="max-age=1")
    node = start_node(two(origin, "a", "b"))
    is_over = threading.Event()
    failures: list[object] = []
    counts = [0] * 4

    def ask(index: int) -> None:
        connection = node.edge.connect()
        try:
            while not is_over.is_set():
                target = f"/load/{counts[index] % 5}"
                connection.request("GET", target, headers={"host": f"{'ab'[index % 2]}.example"})
                answer = connection.getresponse()
                body = answer.read()
                counts[index] += 1
                if (answer.status, body) != (200, BODY):
                    failures.append((answer.status, body[:80]))
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    settings = (
        two(origin, "a", "b", "c") + "[http]\nfills_max = 100\n",
        two(origin, "b", "a") + "[server]\nidle_s = 30\n",
        "nonsense = 1\n",
    )
    for number in range(12):
        node.hang_up(settings[number % 3])
        count = sum(counts)
        eventually(lambda: node.edge.log().count("config.re") > number, "the reload")  # noqa: B023
        eventually(lambda: sum(counts) > count + 20, "requests go on")  # noqa: B023
    is_over.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert failures == []
    assert node.edge.log().count("config.reloaded") == 8
    assert node.edge.log().count("config.refused") == 4
