"""From `docker compose up` on a bare machine to its removal, in the order of the file.

What one test starts the next one finds, as an operator would; each leaves a stack that serves.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time

import openai
import pytest

pytestmark = pytest.mark.timeout(1200)

ADAPT = ("run", "--rm", "-T", "promote")


# --- first start -------------------------------------------------------------------------------


def test_first_start_serves_the_base_model_and_says_that_it_is_unproven(stack, key) -> None:
    assert stack.ready()["verdict"] == "UNPROVEN"
    client = stack.client(key)
    headers, chunks = stack.ask(key)
    text = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(text) > 1
    assert headers["x-bedside-verdict"] == "UNPROVEN"
    answer = client.chat.completions.create(
        model=stack.model, messages=[{"role": "user", "content": "Hallo"}], max_tokens=4
    )
    assert answer.usage.completion_tokens == 4
    with pytest.raises(openai.AuthenticationError):
        stack.client("bsk-wrong").models.list()


def test_only_the_gateway_listens_and_only_on_loopback(stack) -> None:
    assert stack.container("engine")["NetworkSettings"]["Ports"] in ({}, {"8000/tcp": None})
    [binding] = stack.container("gateway")["NetworkSettings"]["Ports"]["8080/tcp"]
    assert binding == {"HostIp": "127.0.0.1", "HostPort": str(stack.port)}


def test_up_again_changes_nothing(stack) -> None:
    before = {name: stack.container(name)["Id"] for name in ("engine", "gateway")}
    started = stack.container("engine")["State"]["StartedAt"]
    stack.compose("up", "--detach", "--wait")
    assert {name: stack.container(name)["Id"] for name in before} == before
    assert stack.container("engine")["State"]["StartedAt"] == started


# --- self-test ---------------------------------------------------------------------------------


def test_selftest_proves_every_container(stack, key, tmp_path) -> None:
    report = tmp_path / "report.jsonl"
    stack.run("bash", "scripts/selftest.sh", str(report))
    checks = [json.loads(line) for line in report.read_text().splitlines()]
    assert [c for c in checks if not c["ok"]] == []
    proved = {(c["where"], c["check"]) for c in checks}
    for where in ("engine", "corpus", "trainer", "merger", "eval"):
        for check in (
            *("no default route", "no name resolution", "no proxy", "not root"),
            *("no connection to 192.0.2.1", "no connection to the listener outside"),
            *(
                "the host is out of reach",
                "read-only root file system",
                "no capabilities",
                "telemetry switched off",
            ),
        ):
            assert (where, check) in proved
    assert ("engine", "served weights equal the manifest") in proved
    assert ("engine", "401 without the engine's token") in proved
    assert ("gateway", "the listener outside is there") in proved
    assert ("gateway", "streaming works") in proved
    assert ("gateway", "401 without a key") in proved


def test_selftest_finds_an_engine_that_somebody_gave_a_way_out(stack, key, tmp_path) -> None:
    edge, engine = f"{stack.project}_edge", stack.container("engine")["Id"]
    report = tmp_path / "report.jsonl"
    stack.run("docker", "network", "connect", edge, engine)
    try:
        done = stack.run("bash", "scripts/selftest.sh", str(report), check=False)
    finally:
        stack.run("docker", "network", "disconnect", edge, engine)
    assert done.returncode == 5
    checks = [json.loads(line) for line in report.read_text().splitlines()]
    failed = {(c["where"], c["check"]) for c in checks if not c["ok"]}
    assert ("engine", "no default route") in failed
    assert ("engine", "no connection to the listener outside") in failed
    assert {where for where, _ in failed} == {"engine"}


def test_what_is_asked_is_found_nowhere_afterwards(stack, key) -> None:
    """Neither in what the containers print nor in what they keep, refused or answered."""
    canary = "Kanarienvogel-4711"
    client = stack.client(key)
    ask = {"model": stack.model, "messages": [{"role": "user", "content": canary}]}
    assert client.chat.completions.create(**ask, max_tokens=4).choices
    assert client.completions.create(model=stack.model, prompt=canary, max_tokens=4).choices
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": canary}}}
    for refused in (
        {
            **ask,
            "messages": [{"role": "user", "content": canary * 2000}],
        },  # longer than the context
        {**ask, "response_format": wrong},
        {**ask, "max_tokens": 100_000},
        {**ask, "extra_body": {"chat_template": canary}},
        {**ask, "model": canary},
    ):
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(**refused)
        assert canary not in caught.value.response.text
    with client.chat.completions.create(**ask, max_tokens=400, stream=True) as stream:
        next(iter(stream))  # and leave
    stack.ready()
    for service in ("engine", "gateway"):
        assert canary not in stack.told(service)
        search = ("grep", "-rlas", canary, "/tmp", "/run", "/var/lib/bedside", "/dev/shm")
        found = stack.compose("exec", "-T", service, *search, check=False)
        assert found.returncode in (1, 2)  # 2: it also met sockets, which it cannot read
        assert found.stdout == ""


# --- faults ------------------------------------------------------------------------------------


FLIP = """
import pathlib
[path] = pathlib.Path("/var/lib/bedside/artifacts").glob("*/model.safetensors")
with path.open("r+b") as file:
    file.seek(-1, 2)
    byte = file.read(1)[0]
    file.seek(-1, 2)
    file.write(bytes([byte ^ 1]))
"""


def test_engine_killed_in_mid_stream_serves_only_an_intact_model_again(stack, key) -> None:
    before = stack.container("engine")["RestartCount"]
    stack.once("archive", "-c", FLIP, options=("--entrypoint", "python3"))
    _, chunks = stack.ask(key, max_tokens=600)
    got = 0
    with pytest.raises(openai.APIError) as caught:
        for _ in chunks:
            got += 1
            if got == 4:
                stack.kill("engine")
    assert caught.value.code == "engine_error"
    assert int(stack.wait_for(503)["retry-after"]) > 0
    with pytest.raises(openai.InternalServerError) as refused:
        stack.ask(key)
    assert refused.value.status_code == 503
    assert int(refused.value.response.headers["retry-after"]) > 0
    stack.wait_until_restarted("engine", before + 1)  # once for the kill, once for what it found
    assert "model.safetensors was changed" in stack.told("engine")
    stack.once("archive", "-c", FLIP, options=("--entrypoint", "python3"))  # as it was
    assert stack.ready()["verdict"] == "UNPROVEN"  # by its restart policy alone
    assert stack.ask(key)[0]["x-bedside-verdict"] == "UNPROVEN"


def test_gateway_killed_and_restarted_keeps_its_keys(stack, key) -> None:
    before = stack.container("gateway")["RestartCount"]
    stack.kill("gateway")
    stack.wait_until_restarted("gateway", before)
    stack.ready()
    assert [model.id for model in stack.client(key).models.list()] == [stack.model]
    stack.compose("restart", "gateway")
    stack.ready()
    client = stack.client(key, max_retries=3)
    assert [model.id for model in client.models.list()] == [stack.model]


def test_port_that_is_taken(stack, new_stack) -> None:
    second = new_stack("port")
    second.port = stack.port
    done = second.run("bash", "scripts/up.sh", "gateway", check=False)
    assert done.returncode == 2
    assert "set BEDSIDE_PORT" in done.stderr
    second.port += 1
    second.run("bash", "scripts/up.sh", "gateway")
    assert second.get("/livez")[0] == 200
    second.remove()


def test_registry_volume_that_is_full(new_stack, tmp_path) -> None:
    small = tmp_path / "small.yaml"
    small.write_text(
        "volumes: {registry: {driver_opts: {type: tmpfs, device: tmpfs, "
        "o: 'size=40m,uid=10001,gid=10001'}}}\n"
    )
    full = new_stack("full", small)
    # In one container: such a volume is empty again when nobody has it mounted.
    steps = "bedside registry init && exec bedside trainer bootstrap --config configs/tiny.yaml"
    options = ("--no-deps", "-e", "BEDSIDE_PIN_FILE=/tmp/pin", "--entrypoint", "sh")
    done = full.compose("run", "--rm", "-T", *options, "bootstrap", "-c", steps, check=False)
    assert done.returncode == 4
    assert "disk full while writing" in done.stderr
    full.remove()


def test_first_start_that_is_killed_goes_on(new_stack) -> None:
    second = new_stack("killed")
    starting = second.start("up", "bootstrap")
    second.wait_until_running("bootstrap", starting)
    second.kill("bootstrap")
    starting.communicate(timeout=120)
    assert second.container("bootstrap")["State"]["ExitCode"] == 137
    done = second.compose("run", "--rm", "-T", "bootstrap")
    assert "base " in done.stdout and " written" in done.stdout
    assert second.once("archive", "registry", "verify", options=("--entrypoint", "bedside"))
    second.remove()


def test_user_without_write_access(stack) -> None:
    done = stack.once("base", options=("--user", "23456"), check=False)
    assert done.returncode == 4
    assert "no right to write" in done.stderr


def test_a_placeholder_is_no_token(new_stack) -> None:
    second = new_stack("placeholder")
    script = "echo changeme-changeme-changeme-changeme > /run/secrets/bedside/engine-token"
    second.once("secrets", "-c", script, options=("--entrypoint", "sh"))
    done = second.compose("up", "--detach", "gateway", check=False)
    assert done.returncode != 0
    assert "a placeholder - remove the file" in second.told("secrets")
    refused = second.once("gateway", check=False)
    assert refused.returncode == 2
    assert "a placeholder - remove the file" in refused.stderr
    second.remove()


def test_engine_that_never_becomes_healthy(stack, tmp_path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "services: {engine: {command: [inference, engine, --config, configs/tiny.yaml, --set, "
        "'inference.engine.url=http://engine:8000', --set, inference.engine.max_model_len=999999]}}"
    )
    stack.overrides = (broken,)
    stack.compose("up", "--detach", "--no-deps", "engine")
    stack.wait_until_restarted("engine", 0)
    stack.wait_for(503)
    assert stack.get("/livez")[0] == 200
    stack.overrides = ()
    stack.compose("up", "--detach", "--wait")
    assert stack.ready()["verdict"] == "UNPROVEN"


# --- adapting ----------------------------------------------------------------------------------


def test_adapting_that_is_killed_anywhere_goes_on_from_there(stack) -> None:
    for service in ("trainer", "merger", "eval"):
        adapting = stack.start(*ADAPT)
        stack.wait_until_running(service, adapting)
        if service == "trainer":
            wait_for_a_saved_state(stack)
        stack.kill(service)
        output = adapting.communicate(timeout=120)[0]
        assert adapting.returncode != 0, output
        assert f'service "{service}" didn\'t complete successfully: exit 137' in output
    assert "resumed after step" in stack.told("trainer")


def wait_for_a_saved_state(stack) -> None:
    saved = "import pathlib; print(*pathlib.Path('/var/lib/bedside/work').glob('*/step-*'))"
    deadline = time.monotonic() + 300
    while not stack.once(
        "archive", "-c", saved, options=("--entrypoint", "python3")
    ).stdout.strip():
        assert time.monotonic() < deadline, "the training saved no state"
        time.sleep(1)


def test_documents_are_labelled_by_way_of_the_gateway(stack, key, tmp_path) -> None:
    """The model is far too small to know; that it is asked, and what becomes of it, is real."""
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("<DOCUMENT>\n\nIs this content about medicine? One word, yes or no.\n")
    settings = {
        "documents": "40",
        "endpoint.address": "http://gateway:8080",
        "endpoint.model": stack.model,
        "question.prompt": "/app/prompt.txt",
        "question.constraint": "none",  # the gateway takes no fields that are vLLM's alone
        "question.max_characters": "700",
    }
    words = [f"--set=corpus.annotate.{name}={value}" for name, value in settings.items()]
    options = ("-e", f"BEDSIDE_API_KEY={key}", "-v", f"{prompt}:/app/prompt.txt:ro")
    config = ("--config", stack.environment["BEDSIDE_CONFIG"])
    annotate = ("corpus", "annotate", *config, *words)
    told = stack.once("annotate", *annotate, options=options)
    assert re.search(r"labels [0-9a-f]{12} written", told.stdout), told.stdout
    again = stack.once("annotate", *annotate, options=options)
    assert "is unchanged, reused" in again.stdout


def test_adapting_ends_in_a_promotion(stack) -> None:
    done = stack.compose(*ADAPT)
    assert done.stdout.startswith("promoted "), done.stdout
    assert "is unchanged, reused" in stack.told("trainer")


def test_the_evaluation_is_lent_an_engine_by_another_container(stack, root) -> None:
    stack.compose("up", "--detach", "--no-deps", "engine-exam")
    script = root / "tests/stack/ask_exams.py"
    options = ("--entrypoint", "python3", "-v", f"{script}:/app/ask_exams.py:ro")
    words = ("/app/ask_exams.py", stack.environment["BEDSIDE_CONFIG"], "/tmp/answers")
    done = stack.once("eval", *words, options=options)
    _, counts = json.loads(done.stdout.splitlines()[-1])
    assert {name: set(modes) for name, modes in counts.items()} == {
        "choice": {"generated", "constrained"},
        "open": {"generated"},
        "documents": {"generated"},
        "instructions": {"generated"},
    }
    assert all(one["unanswered"] == 0 for modes in counts.values() for one in modes.values())
    assert counts["choice"]["constrained"]["unreadable"] == 0
    assert "engine lent" in stack.told("engine-exam")
    stack.compose("stop", "engine-exam")


def models(stack, *words: str) -> str:
    return stack.compose("exec", "-T", "gateway", "bedside", "inference", "models", *words).stdout


def answers_with(stack, key: str, model: str) -> None:
    """Wait until a model answers; the gateway looks for switches and engines every few seconds."""
    until = time.monotonic() + 60
    while stack.ask(key)[0]["x-bedside-model"] != model:
        assert time.monotonic() < until
        time.sleep(0.2)


def begun(stack, key: str):
    """A stream after its first chunk: what answers, and the rest."""
    headers, chunks = stack.ask(key, max_tokens=300)
    next(iter(chunks))
    return headers["x-bedside-model"], chunks


def serves(stack, engine: str, model: str) -> bool:
    """Whether the gateway has ever found that an engine serves a model."""
    seen = {"event": "engine", "engine": engine, "condition": "ready", "model": model}
    lines = (json.loads(line) for line in stack.told("gateway").splitlines() if line[:1] == "{")
    return any(seen.items() <= line.items() for line in lines)


def ends_well(chunks) -> bool:
    return [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")


def test_promoted_model_takes_over_without_a_pause_or_a_broken_stream(stack, key) -> None:
    """As docs/operations.md has it: a second engine, the switch, a rollback, one engine again."""
    unproven = stack.ready()["model"]
    models(stack, "switch", unproven)
    last = ("-n", "1", "bedside/log.jsonl")
    promoted = stack.once("archive", *last, options=("--entrypoint", "tail")).stdout
    proven = json.loads(promoted)["model"]
    second = ("--profile", "switch", "up", "--detach", "--wait", "--wait-timeout", "300")
    stack.compose(*second, "--no-deps", "engine-next")

    answering, chunks = begun(stack, key)
    assert answering == unproven
    models(stack, "switch", proven)
    answers_with(stack, key, proven)
    assert ends_well(chunks)
    models(stack, "rollback")
    answers_with(stack, key, unproven)
    models(stack, "switch", proven)
    answers_with(stack, key, proven)
    assert stack.ready()["verdict"] == "PROMOTE"

    stack.compose("restart", "engine")
    until = time.monotonic() + 300
    while not serves(stack, "http://engine:8000", proven):
        assert time.monotonic() < until
        time.sleep(1)
    both = [begun(stack, key) for _ in range(2)]  # one at each engine
    assert [answering for answering, _ in both] == [proven] * 2
    stop = threading.Thread(
        target=stack.compose, args=("--profile", "switch", "stop", "engine-next")
    )
    stop.start()
    assert all(ends_well(chunks) for _, chunks in both)
    stop.join()
    assert stack.ask(key)[0]["x-bedside-model"] == proven


def test_a_restart_of_the_only_engine_breaks_no_stream(stack, key) -> None:
    _, chunks = begun(stack, key)
    restart = threading.Thread(target=stack.compose, args=("restart", "engine"))
    restart.start()
    assert int(stack.wait_for(503)["retry-after"]) > 0
    with pytest.raises(openai.InternalServerError) as refused:
        stack.ask(key)
    assert refused.value.status_code == 503
    assert refused.value.code in ("engine_draining", "model_loading")
    assert ends_well(chunks)
    restart.join()
    assert stack.ready()["verdict"] == "PROMOTE"


def test_an_engine_that_loads_is_stopped_at_once(stack) -> None:
    stack.compose("restart", "engine")
    time.sleep(3)  # and so it loads
    began = time.monotonic()
    stack.compose("stop", "engine")
    assert time.monotonic() - began < 30  # Docker would wait for 75 s
    stack.compose("start", "engine")
    assert stack.ready()["verdict"] == "PROMOTE"


def test_operators_see_what_is_served_and_stop_it_by_a_word(stack, key) -> None:
    served = stack.ready()["model"][:12]
    assert ["http://engine:8000", "serves", served, "PROMOTE"] in [
        line.split()[:4] for line in models(stack, "list").splitlines()
    ]
    assert "answers nobody now: model stopped" in models(stack, "stop", "current")
    assert stack.get("/readyz")[0] == 503
    assert f"answers now with {served} (PROMOTE)" in models(stack, "resume", "current")
    nobody = stack.compose(
        *("exec", "-T", "gateway", "bedside", "inference", "models", "switch", "f" * 64),
        check=False,
    )
    assert nobody.returncode == 5
    assert f"serving: {served}" in nobody.stderr


def test_rollback_is_refused_while_there_is_nothing_before(stack) -> None:
    done = stack.once(
        "archive", "registry", "rollback", "--reason", "worse answers",
        options=("--entrypoint", "bedside"), check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "nothing was promoted before" in done.stderr


# --- bundle, backup, removal -------------------------------------------------------------------


@pytest.fixture(scope="session")
def bundle_tool(root, tmp_path_factory):
    """Run `bedside bundle` without any network; the Docker Engine is a Unix socket away."""
    program = str(root / ".venvs/bundle/bin/bedside")

    def run(stack, *words: str, network: bool = False, **more: str):
        prefix = () if network else ("unshare", "--net")
        settings = tuple(f"{name}={value}" for name, value in more.items())
        return stack.run("env", *settings, *prefix, program, "bundle", *words, check=False)

    return run


def test_bundle_made_carried_tampered_with_and_loaded(stack, bundle_tool, tmp_path) -> None:
    saving = "docker compose run --rm --no-deps -T archive --create --file - bedside bedside-pin"
    stack.run("bash", "-o", "pipefail", "-c", f"{saving} | tar --extract --directory {tmp_path}")
    pin = {"BEDSIDE_PIN_FILE": str(tmp_path / "bedside-pin" / "pin")}
    home = {
        **pin,
        "BEDSIDE_HOME": str(tmp_path / "bedside"),
        "BEDSIDE_BUNDLE_KEY": str(tmp_path / "k.pem"),
    }
    assert bundle_tool(stack, "key", **home).returncode == 0
    archive, public = str(tmp_path / "bedside.tar"), str(tmp_path / "k.pub")
    made = bundle_tool(stack, "create", archive, network=True, **home)
    assert made.returncode == 0, made.stderr

    offset = 700 << 20  # somewhere within the images
    flip(archive, offset)
    refused = bundle_tool(stack, "verify", archive, public)
    assert refused.returncode == 4
    assert "images.tar" in refused.stderr
    flip(archive, offset)

    inspect = ("docker", "image", "inspect", "--format", "{{.Id}}", "bedside/gateway:0.2.0")
    image = stack.run(*inspect).stdout
    stack.compose("--profile", "*", "down")
    stack.run("docker", "image", "rm", "--force", "bedside/gateway:0.2.0")
    unknown = bundle_tool(stack, "load", archive, public, str(tmp_path / "target"))
    assert unknown.returncode == 4
    assert "--pin FINGERPRINT" in unknown.stderr
    loaded = bundle_tool(stack, "load", archive, public, str(tmp_path / "target"), **pin)
    assert loaded.returncode == 0, loaded.stderr
    assert stack.run(*inspect).stdout == image
    assert (tmp_path / "target" / "deploy" / "compose.yaml").exists()
    assert list((tmp_path / "target" / "sbom").glob("*.cdx.json"))
    shutil.rmtree(tmp_path)  # gigabytes


def flip(path: str, offset: int) -> None:
    with open(path, "r+b") as file:  # noqa: PTH123
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_backup_restored_into_a_new_project_serves_the_same(
    stack, key, new_stack, tmp_path
) -> None:
    saved = tmp_path / "backup.tar"
    unable = stack.run(
        "env", "BEDSIDE_VERSION=0.0.0", "bash", "scripts/backup.sh", str(saved), check=False
    )
    assert (unable.returncode, saved.exists()) == (4, False)  # no image, so no empty backup either
    stack.run("bash", "scripts/backup.sh", str(saved))
    assert saved.stat().st_mode & 0o777 == 0o600
    refused = stack.run("bash", "scripts/restore.sh", str(saved), check=False)
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    second = new_stack("restored")
    second.run("bash", "scripts/restore.sh", str(saved))
    second.run("bash", "scripts/up.sh")
    assert second.ready()["verdict"] == "PROMOTE"
    assert second.ask(key)[0]["x-bedside-verdict"] == "PROMOTE"
    second.remove()


def test_removal_leaves_nothing(stack) -> None:
    stack.remove()
    label = f"label=com.docker.compose.project={stack.project}"
    for what in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        assert stack.run("docker", *what, "--quiet", "--filter", label).stdout == ""
