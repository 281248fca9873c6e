"""What the compose files promise, read from the files themselves."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import yaml

from bedside_core.confinement import ENGINE_SOCKETS
from bedside_core.offline import OFFLINE
from bedside_inference.config import EngineConfig, GatewayConfig, InferenceConfig
from bedside_inference.gateway.telemetry.metrics import Metrics

ENGINES = {"engine", "engine-next"}
STAY = {*ENGINES, "gateway"}
ASKED_FOR = {"listener", "annotate"}
STEPS = {
    "secrets",
    "keys",
    "bootstrap",
    "base",
    "plan",
    "corpus",
    "train-classifier",
    "trainer",
    "merger",
    "engine-exam",
    "eval",
    "promote",
    "archive",
}
READERS = {*ENGINES, "engine-exam"}

FORBIDDEN = {
    *("privileged", "pid", "ipc", "userns_mode", "cap_add", "devices", "device_cgroup_rules"),
    *("network_mode", "env_file", "extra_hosts", "dns", "group_add", "user"),
}
"""What gives a container more than compose.yaml means to; steps alone have `network_mode: none`."""

OF_COMMANDS = {
    *("BEDSIDE_HOME", "BEDSIDE_BUNDLE_KEY", "BEDSIDE_API_KEY"),
    *("BEDSIDE_EVIDENCE_KEY", "BEDSIDE_OPERATOR_KEY", "BEDSIDE_CHECK"),
    "BEDSIDE_PIN_FILE",
}
"""Variables of commands that the manual shows."""

OF_COMPOSE = {"COMPOSE_PROJECT_NAME": "bedside", "COMPOSE_FILE": "compose.yaml"}
"""Settings that Docker Compose itself reads."""

SECRET = re.compile(
    r"""(?ix)
    (?P<name> [\w.-]* (?:passw(?:or)?d|secret|token(?!iz|s\b)|(?:api|signing)[_-]?key) [\w.-]*)
    [ \t]* [:=] [ \t]* ["']? (?P<value> [^\s"',]+)"""
)
"""A name that sounds secret, and its value."""


def literal_secrets(text: str) -> list[str]:
    """Names that sound secret and have a value which is neither a path nor a mapping or list."""
    settings = re.sub(r"(?m)^#(?=\w+=)", "", text)  # a commented-out default counts
    plain = re.sub(r"(?m)(^|\s)#.*$", "", settings)
    return [match["name"] for match in SECRET.finditer(plain) if match["value"][0] not in "/{["]


# --- rights ------------------------------------------------------------------------------------


def test_a_service_was_added_without_a_place_in_these_tests(compose: Any) -> None:
    assert set(compose.services) == STAY | ASKED_FOR | STEPS


def test_a_service_is_not_confined(compose: Any) -> None:
    confined = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    found = {
        name: {key: service.get(key) for key in confined}
        for name, service in compose.services.items()
    }
    assert found == dict.fromkeys(compose.services, confined)


def test_a_service_has_more_than_it_needs(compose: Any) -> None:
    found = {name: FORBIDDEN & set(service) for name, service in compose.services.items()}
    assert found == {
        name: {"network_mode"} if name in STEPS else set() for name in compose.services
    }


def test_both_engines_take_the_same_gpu(gpu: Any) -> None:
    def devices(name: str) -> Any:
        reserved = gpu.services[name]["deploy"]["resources"]["reservations"]["devices"]
        return [device["device_ids"] for device in reserved]

    assert (devices("engine"), devices("engine-next")) == ([["0"]], [["1"]])


def test_the_gpu_file_loosens_a_service(compose: Any, gpu: Any) -> None:
    assert set(gpu.services) <= set(compose.services)
    keys = set().union(*gpu.services.values())
    assert keys <= {"image", "build", "shm_size", "deploy", "tmpfs"}


def test_a_container_gets_the_container_engine(compose: Any) -> None:
    sources = {source for name in compose.services for source in compose.mounts(name)}
    sockets = {*ENGINE_SOCKETS, "/", "/run", "/var", "/var/run"}
    assert [s for s in sources if s in sockets or "docker.sock" in s] == []


def test_a_host_folder_is_writable(compose: Any) -> None:
    volumes = set(compose.document["volumes"])
    found = {
        (name, source)
        for name in compose.services
        for source, (_, mode) in compose.mounts(name).items()
        if source not in volumes and mode != "ro"
    }
    assert found == set()


def test_a_restart_policy_is_not_the_intended_one(compose: Any) -> None:
    found = {name: service["restart"] for name, service in compose.services.items()}
    assert found == {name: "unless-stopped" if name in STAY else "no" for name in found}


def test_what_stays_has_no_health_check_of_our_own(compose: Any) -> None:
    found = {
        name: service["healthcheck"]["test"][:5]
        for name, service in compose.services.items()
        if "healthcheck" in service
    }
    what = {name: "gateway" if name == "gateway" else "engine" for name in STAY}
    assert found == {n: ["CMD", "bedside", "inference", "health", what[n]] for n in STAY}


def test_the_two_engines_differ_in_more_than_their_address(compose: Any) -> None:
    def without_name(name: str) -> Any:
        service = {
            k: v for k, v in compose.services[name].items() if k not in ("build", "profiles")
        }
        return json.loads(json.dumps(service).replace(f"http://{name}:8000", "ADDRESS"))

    first, second = (without_name(name) for name in sorted(ENGINES))
    assert first == second
    for part in (first["command"], first["healthcheck"]["test"]):
        assert part[-1] == "inference.engine.url=ADDRESS"


def test_the_gateway_does_not_know_an_engine(compose: Any) -> None:
    command = compose.services["gateway"]["command"]
    (setting,) = (word for word in command if word.startswith("inference.gateway.engines="))
    addresses = yaml.safe_load(setting.partition("=")[2])
    assert addresses == [f"http://{name}:8000" for name in sorted(ENGINES)]
    assert InferenceConfig(gateway={"engines": addresses}).gateway.engines == tuple(addresses)


def test_the_name_of_a_stopped_engine_is_asked_of_a_resolver_outside(compose: Any) -> None:
    """Docker forwards a name without a dot unless ndots is set (libnetwork, resolver.go)."""
    gateway = compose.services["gateway"]
    assert (gateway["dns_opt"], gateway["dns_search"]) == (["ndots:1"], ["."])


def test_a_container_is_killed_while_it_lets_answers_finish(compose: Any) -> None:
    drains = dict.fromkeys(ENGINES, EngineConfig().drain_seconds)
    drains["gateway"] = GatewayConfig().drain_seconds
    grace = {name: int(compose.services[name]["stop_grace_period"].rstrip("s")) for name in drains}
    assert {name: grace[name] > drains[name] for name in drains} == dict.fromkeys(drains, True)


def test_a_switch_against_telemetry_is_touched(compose: Any, gpu: Any) -> None:
    assert [name for name in OFFLINE if name in compose.text + gpu.text] == []


# --- networks ----------------------------------------------------------------------------------


def test_another_service_than_the_gateway_publishes_a_port(compose: Any, gpu: Any) -> None:
    found = {n: s["ports"] for n, s in compose.services.items() if "ports" in s}
    assert found == {"gateway": ["127.0.0.1:8080:8080"]}
    assert "${BEDSIDE_BIND:-127.0.0.1}:${BEDSIDE_PORT:-8080}:8080" in compose.text
    assert [name for name, service in gpu.services.items() if "ports" in service] == []


def test_the_clinical_network_has_a_way_out(compose: Any) -> None:
    assert set(compose.document["networks"]) == {"clinical", "edge"}
    assert compose.document["networks"]["clinical"]["internal"] is True
    options = compose.document["networks"]["edge"]["driver_opts"]
    assert options["com.docker.network.bridge.enable_ip_masquerade"] == "false"


def test_a_service_is_on_a_network_where_it_does_not_belong(compose: Any) -> None:
    found = {name: service.get("networks") for name, service in compose.services.items()}
    assert found == {
        "engine": ["clinical"],
        "engine-next": ["clinical"],
        "gateway": ["clinical", "edge"],
        "annotate": ["clinical"],
        "listener": ["edge"],
        **dict.fromkeys(STEPS),
    }
    steps = {name: compose.services[name]["network_mode"] for name in STEPS}
    assert steps == dict.fromkeys(STEPS, "none")


def test_a_bare_up_starts_what_was_not_asked_for(compose: Any) -> None:
    found = {name for name, service in compose.services.items() if "profiles" not in service}
    assert found == {"secrets", "keys", "bootstrap", "engine", "gateway"}


# --- volumes -----------------------------------------------------------------------------------


def test_a_signing_key_is_seen_by_another_than_its_holders(compose: Any) -> None:
    makers = {"keys": "rw", "archive": "rw"}
    assert compose.who_mounts("evidence") == {"eval": "rw", **makers}
    assert compose.who_mounts("operator") == {"plan": "rw", "promote": "rw", **makers}


def test_the_pin_is_written_or_not_seen_by_who_reads_the_registry(compose: Any) -> None:
    """Who writes the registry must not say whose it is."""
    readers = {*ENGINES, "gateway", "annotate", *STEPS} - {"secrets", "keys", "archive"}
    makers = {"keys": "rw", "archive": "rw"}
    assert compose.who_mounts("pin") == {**dict.fromkeys(readers, "ro"), **makers}


def test_a_step_begins_before_there_are_keys(compose: Any) -> None:
    for name in ("bootstrap", "gateway"):
        needed = compose.services[name]["depends_on"]["keys"]
        assert needed == {"condition": "service_completed_successfully"}


def test_the_registry_is_seen_or_written_by_the_wrong_service(compose: Any) -> None:
    writers = {"annotate", *STEPS} - {"secrets", *READERS}
    assert compose.who_mounts("registry") == {
        **dict.fromkeys(READERS, "ro"),
        **dict.fromkeys(writers, "rw"),
    }


def test_the_lent_engine_is_reached_by_another_than_the_evaluation(compose: Any) -> None:
    assert compose.who_mounts("exam") == {"engine-exam": "rw", "eval": "rw"}
    told = {
        name: service["environment"]["BEDSIDE_EXAM_SOCKET"]
        for name, service in compose.services.items()
        if "BEDSIDE_EXAM_SOCKET" in service.get("environment", {})
    }
    assert told == dict.fromkeys(("engine-exam", "eval"), "/run/bedside-exam/lent/socket")


def test_the_engine_token_is_seen_by_another_than_its_two_ends(compose: Any) -> None:
    assert compose.who_mounts("secrets") == {"secrets": "rw", **dict.fromkeys(STAY, "ro")}


def test_the_api_keys_are_seen_by_another_than_the_gateway(compose: Any) -> None:
    assert compose.who_mounts("gateway") == {"gateway": "rw", "archive": "rw"}


def test_documents_reach_what_serves(compose: Any) -> None:
    seen = {
        name
        for name in compose.services
        if {"/app/data", "/app/demo"} & {target for target, _ in compose.mounts(name).values()}
    }
    assert seen & {*STAY, *READERS, "secrets", "keys", "listener", "archive", "promote"} == set()
    labelling = {"annotate", "train-classifier"}
    assert seen == {"bootstrap", "base", "plan", "corpus", "eval", *labelling}


def test_training_or_merging_sees_a_sealed_text(compose: Any) -> None:
    """What they read of held-out texts lies in the registry: the development part."""
    for name in ("trainer", "merger"):
        targets = {target for target, _ in compose.mounts(name).values()}
        assert targets == {"/app/configs", "/var/lib/bedside", "/var/lib/bedside-pin"}


def test_a_volume_is_mounted_where_the_images_do_not_look(compose: Any) -> None:
    found: dict[str, set[str]] = {name: set() for name in compose.document["volumes"]}
    for service in compose.services:
        for source, (target, _) in compose.mounts(service).items():
            if source in found:
                found[source].add(target)
    assert found == {
        "registry": {"/var/lib/bedside"},
        "evidence": {"/var/lib/bedside-evidence"},
        "operator": {"/var/lib/bedside-operator"},
        "pin": {"/var/lib/bedside-pin"},
        "gateway": {"/var/lib/bedside", "/var/lib/bedside-gateway"},
        "secrets": {"/run/secrets/bedside"},
        "exam": {"/run/bedside-exam"},
    }


# --- images and settings -----------------------------------------------------------------------


def test_an_image_has_no_version(compose: Any, gpu: Any, version: str) -> None:
    images = [service["image"] for service in compose.services.values()]
    services = "corpus|trainer|merger|eval|engine|gateway"
    assert [i for i in images if not re.fullmatch(rf"bedside/({services}):{version}", i)] == []
    assert {service["image"] for service in gpu.services.values()} == {
        f"bedside/engine:{version}-cuda",
        f"bedside/trainer:{version}-cuda",
        f"bedside/eval:{version}-cuda",
    }


def test_a_gpu_is_given_to_a_step_that_has_an_image_for_processors(compose: Any, gpu: Any) -> None:
    # What is built for GPUs is all that carries the image's name: no step is left with the other.
    for image in ("engine", "trainer", "eval"):
        used = {n for n, s in compose.services.items() if f"bedside/{image}:" in s["image"]}
        assert {n for n, s in gpu.services.items() if f"bedside/{image}:" in s["image"]} == used
    computing = {name for name, service in gpu.services.items() if "deploy" in service}
    assert computing == {*READERS, "trainer", "eval"}


def test_an_image_of_somebody_else_is_fetched(compose: Any) -> None:
    found = {name: service["pull_policy"] for name, service in compose.services.items()}
    assert found == dict.fromkeys(compose.services, "never")


def test_one_image_is_built_in_two_ways(compose: Any) -> None:
    ways: dict[str, list[Any]] = {}
    for service in compose.services.values():
        if "build" in service and service["build"] not in ways.setdefault(service["image"], []):
            ways[service["image"]].append(service["build"])
    assert {image: len(found) for image, found in ways.items()} == dict.fromkeys(ways, 1)
    assert set(ways) == {service["image"] for service in compose.services.values()}


def test_a_variable_has_no_default(compose: Any, gpu: Any) -> None:
    text = compose.text + gpu.text
    every = re.findall(r"(?<!\$)\$\{?(\w+)", text)
    assert set(every) == set(compose.defaults) | set(gpu.defaults)
    with_default = re.findall(r"\$\{(\w+):-[^{}]*\}", text)
    assert len(every) == len(with_default)


def test_env_example_differs_from_what_compose_reads(compose: Any, gpu: Any, root: Path) -> None:
    read: dict[str, set[str]] = {}
    for file in (compose, gpu):
        for name, defaults in file.defaults.items():
            read.setdefault(name, set()).update(defaults)
    lines = (root / ".env.example").read_text().splitlines()
    shown = dict(line[1:].split("=", 1) for line in lines if re.match(r"#\w+=", line))
    assert {name: {default} for name, default in shown.items()} == read | {
        name: {default} for name, default in OF_COMPOSE.items()
    }
    assert compose.document["name"] == OF_COMPOSE["COMPOSE_PROJECT_NAME"]


def test_copying_env_example_sets_something(root: Path) -> None:
    lines = (root / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_a_setting_in_env_example_is_not_explained(root: Path) -> None:
    lines = (root / ".env.example").read_text().splitlines()
    bare = [
        line
        for before, line in pairwise(lines)
        if re.match(r"#\w+=", line) and not before.startswith("# ")
    ]
    assert bare == []


def test_a_file_holds_what_looks_like_a_default_password(root: Path) -> None:
    files = [
        *(root / name for name in ("compose.yaml", "compose.gpu.yaml", ".env.example")),
        *sorted((root / "docker").glob("*Dockerfile")),
        *sorted((root / "configs").rglob("*.yaml")),
        root / "helm/bedside/values.yaml",
    ]
    found = {str(file.relative_to(root)): literal_secrets(file.read_text()) for file in files}
    assert found == {name: [] for name in found}


def test_the_search_for_passwords_finds_one() -> None:
    bad = ('DB_PASSWORD: "hunter2"', "#ENGINE_TOKEN=changeme", "  {api-key: x}", "apiKey: abc")
    good = ("SECRETS=/run/x", "token: # later", "secrets: [ca]", "tokenizer: word", 'secret: ""')
    assert [len(literal_secrets(line)) for line in bad] == [1, 1, 1, 1]
    assert [literal_secrets(line) for line in good] == [[], [], [], [], []]


# --- the manual --------------------------------------------------------------------------------


def test_the_manual_names_what_is_not_there(compose: Any, root: Path) -> None:
    text = (root / "docs/operations.md").read_text()
    joined = text.replace("\\\n", " ")
    runs = re.findall(r"docker compose (?:run|exec|restart|stop|start|logs) ([^\n`;&|#)]+)", joined)
    named = [next((w for w in words.split() if w in compose.services), words) for words in runs]
    placeholders = [n for n in named if "$s" in n or "STEP" in n]
    assert set(named) - set(placeholders) <= set(compose.services)
    files = re.findall(r"(?:scripts|helm/bedside|configs|docker)/[\w./-]+\.(?:sh|md|yaml)", text)
    missing = {name for name in files if not (root / name).is_file()}
    assert missing == {"configs/house.yaml", "configs/copy.yaml"}  # the reader's own
    settings = set(re.findall(r"\bBEDSIDE_[A-Z_]+", text)) - OF_COMMANDS
    assert settings - set(re.findall(r"#(\w+)=", (root / ".env.example").read_text())) == set()


def test_the_manual_names_a_setting_that_there_is_not(root: Path) -> None:
    def known(dotted: str) -> bool:
        model: Any = InferenceConfig
        for name in dotted.split(".")[1:]:
            fields = getattr(model, "model_fields", {})
            if name not in fields:
                return False
            inner = fields[name].annotation
            model = next((t for t in get_args(inner) if hasattr(t, "model_fields")), inner)
        return True

    for file in ("docs/operations.md", "helm/bedside/README.md", "helm/bedside/values.yaml"):
        named = set(
            re.findall(r"(?<!bedside_)\binference(?:\.[a-z_]+)+", (root / file).read_text())
        )
        assert {name for name in named if not known(name)} == set(), file


def test_the_manual_names_a_metric_or_an_error_that_there_is_not(root: Path) -> None:
    text = (root / "docs/operations.md").read_text()
    named = set(re.findall(r"bedside_gateway_\w+", text))
    known = {metric.name for metric in Metrics().registry.collect()}
    assert {name.removesuffix("_total") for name in named} - known == set()
    code = "".join(f.read_text() for f in (root / "services/inference/src").rglob("*.py"))
    errors = set(re.findall(r"50\d `(\w+)`", text))
    assert len(errors) > 5
    assert {error for error in errors if f'"{error}"' not in code} == set()
