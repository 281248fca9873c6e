"""The registry: artifacts, the slots of named runs, and the signed log of what was decided.

BEDSIDE_HOME/
  artifacts/<digest>/     immutable, content-addressed
  runs/<name>/<slot>      a digest: the newest artifact of that step in that run
  work/<recipe>/          resumable state of a step that is not finished
  keys/                   evidence.pem, operator.pem, publisher.pem and their public halves (.pub);
                          identifiers.key, see `bedside_core.identifiers`
  log.jsonl, log.head     the house's keys; what was promoted, withdrawn, deleted; see `signed_log`
  public/<digest>/        what others can verify of a promoted model; see `bedside_core.public`
  tmp/                    what is being written; swept by the next writer
BEDSIDE_HOME.pin          beside it: whose log this must be, see `pin`

What is promoted is the model of the log's last promotion or rollback. If it is withdrawn, it stays
that, so that nobody serves another one by accident, and nothing may serve it: an operator promotes
another, or rolls back to the last one before it that is neither withdrawn nor deleted.

A model that a rollback left is not promoted again by a step that runs by itself: a person says so,
and why.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside_core import identifiers
from bedside_core.artifacts import Artifact
from bedside_core.chain import Entry
from bedside_core.errors import ArtifactError, ConfigError, PolicyError
from bedside_core.files import disk_errors, lock_directory, write_atomic
from bedside_core.identifiers import Identifiers
from bedside_core.kinds.corpus import IDENTIFIERS
from bedside_core.kinds.evidence import DOMAIN, read_evidence
from bedside_core.kinds.plan import Look, Plan
from bedside_core.kinds.policy import Policy
from bedside_core.registry import planning, promotable, signed_log
from bedside_core.registry.keyring import Keyring, Role
from bedside_core.registry.ledger import Approval, Ledger, Looked, Planned
from bedside_core.registry.pin import Pin
from bedside_core.registry.promotions import Promotion, history, promotions_of
from bedside_core.registry.signed_log import SignedLog, Writing
from bedside_core.registry.withdrawals import POLICY, Withdrawal, Withdrawals
from bedside_core.signing import Keys, PublisherKeys

EVIDENCE_KEY = "BEDSIDE_EVIDENCE_KEY"
OPERATOR_KEY = "BEDSIDE_OPERATOR_KEY"
WRITERS: dict[str, Role] = {
    **dict.fromkeys(("promote", "rollback", "adopt"), "operator"),
    **dict.fromkeys(("withdraw", "delete", "gc", "approve-policy", "plan"), "operator"),
    "look": "evidence",
}
"""Which key may write an entry of which type."""
MIN_PREFIX = 6
_RUN_SLOT = re.compile(r"([\w-]{1,60})/([a-z]{1,20})")


class Registry:
    """All artifacts of one house, under one directory."""

    def __init__(
        self,
        home: Path,
        *,
        evidence_key: Path | None = None,
        operator_key: Path | None = None,
        pin: Pin | None = None,
    ) -> None:
        """Make nothing yet.

        Args:
            home: its directory.
            evidence_key: the private key, where only the evaluation can read it.
            operator_key: the private key, where only who promotes and withdraws can read it; the
                publisher's lies beside it.
            pin: whose registry it must be; by default what the file beside the home says.
        """
        self.home = home
        self.store = home / "artifacts"
        self.public = home / "public"
        self.evidence_keys = Keys(
            home / "keys", stem="evidence", domain=DOMAIN, private_path=evidence_key
        )
        self.operator_keys = Keys(
            home / "keys", stem="operator", domain=signed_log.DOMAIN, private_path=operator_key
        )
        self.publisher_keys = PublisherKeys(
            home / "keys",
            stem="publisher",
            private_path=operator_key and operator_key.with_name("publisher.pem"),
        )
        self.pin = pin or Pin.beside(home)
        writers: dict[Role, Keys] = {"evidence": self.evidence_keys, "operator": self.operator_keys}
        self.log = SignedLog(home / "log.jsonl", WRITERS, writers, self.pin)

    @classmethod
    def from_environment(cls) -> Registry:
        """The registry at `BEDSIDE_HOME`, by default `./bedside-home`.

        `BEDSIDE_EVIDENCE_KEY` and `BEDSIDE_OPERATOR_KEY` name the files of the private keys where
        those are kept apart; see `pin` for what says whose registry it must be.

        Raises:
            ConfigError: something that is not a directory has that name, a variable has the name
                of an earlier version, or the pin is none.
        """
        home = Path(os.environ.get("BEDSIDE_HOME") or "bedside-home").absolute()
        if home.exists() and not home.is_dir():
            raise ConfigError(f"BEDSIDE_HOME: {home} is not a directory - name one, or a free path")
        if os.environ.get("BEDSIDE_SIGNING_KEY"):
            raise ConfigError(
                "BEDSIDE_SIGNING_KEY is now BEDSIDE_EVIDENCE_KEY, and BEDSIDE_OPERATOR_KEY names "
                'the key that promotes - rename it, see "Keys" in docs/operations.md'
            )
        return cls(
            home,
            evidence_key=_path_in(EVIDENCE_KEY),
            operator_key=_path_in(OPERATOR_KEY),
            pin=Pin.from_environment(home),
        )

    def artifacts(self) -> list[Artifact]:
        """Every artifact, oldest first.

        Raises:
            ArtifactError: names each manifest that is missing or was changed.
        """
        found, damaged = self.scan()
        if damaged:
            raise ArtifactError("\n".join(damaged))
        return found

    def scan(self) -> tuple[list[Artifact], list[str]]:
        """Every artifact, oldest first, and what is wrong with those that cannot be read."""
        found, damaged = [], []
        for path in sorted(self.store.iterdir()) if self.store.is_dir() else ():
            try:
                found.append(Artifact(path))
            except ArtifactError as error:
                damaged.append(str(error))
        return sorted(found, key=lambda a: (a.manifest.created, a.digest)), damaged

    def get(self, reference: str) -> Artifact:
        """An artifact by digest, by the first characters of one, or by `run/slot`.

        Raises:
            ArtifactError: nothing fits, or several do.
        """
        if fit := _RUN_SLOT.fullmatch(reference):
            name, slot = fit.groups()
            digest = self.slot(name, slot)
            if digest is None:
                raise ArtifactError(
                    f"run {name!r} has no {slot} yet - `bedside registry list` shows what there is"
                )
            return Artifact(self.store / digest)
        matches = []
        if len(reference) >= MIN_PREFIX and self.store.is_dir():
            matches = [p for p in self.store.iterdir() if p.name.startswith(reference)]
        if len(matches) != 1:
            problem = "several artifacts begin with" if matches else "there is no artifact"
            raise ArtifactError(
                f"{problem} {reference!r} - give a digest of at least {MIN_PREFIX} characters, or "
                "run/slot; `bedside registry list` shows them"
            )
        return Artifact(matches[0])

    def find(self, recipe_sha256: str) -> Artifact | None:
        """The newest artifact that was made by an equal recipe.

        One with a damaged manifest is passed over, so that it can be made again.
        """
        same = [a for a in self.scan()[0] if a.manifest.recipe_sha256 == recipe_sha256]
        return same[-1] if same else None

    def slot(self, name: str, slot: str) -> str | None:
        """The digest in a run's slot, if that step has run."""
        try:
            return (self.home / "runs" / name / slot).read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def slots(self) -> Iterator[tuple[str, str]]:
        """Every slot: `run/slot` and the digest in it."""
        for path in sorted(self.home.glob("runs/*/*")):
            fit = _RUN_SLOT.fullmatch(f"{path.parent.name}/{path.name}")
            digest = self.slot(*fit.groups()) if fit else None
            if fit and digest is not None:
                yield fit[0], digest

    def set_slot(self, name: str, slot: str, digest: str) -> None:
        """Point a run's slot at an artifact."""
        write_atomic(self.home / "runs" / name / slot, digest.encode() + b"\n")

    @property
    def workrooms(self) -> tuple[Path, Path]:
        """Where resumable state lies: that of all steps, and the evaluation's own."""
        return self.home / "work", self.evidence_keys.private_path.parent / "work"

    @contextmanager
    def work(self, recipe_sha256: str, *, private: bool = False) -> Iterator[Path]:
        """The directory for resumable state of one recipe; removed when the step succeeds.

        It is its owner's alone: documents and answers wait in it.

        Args:
            recipe_sha256: of the recipe.
            private: whether it lies with the private evidence key, for what will be signed.

        Raises:
            ArtifactError: another process works on the same recipe, or the disk is full.
        """
        path = self.workrooms[private] / recipe_sha256[:16]
        lock = None
        with disk_errors("resumable state"):
            while lock is None:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                try:
                    lock = lock_directory(path, wait=False)
                except BlockingIOError:
                    raise ArtifactError(
                        f"another process is doing this step ({path}) - wait for it or stop it"
                    ) from None
            try:
                yield path
                shutil.rmtree(path)
            finally:
                os.close(lock)

    def ancestors(self, artifact: Artifact) -> Iterator[tuple[int, str, Artifact]]:
        """Walk to the sources, depth first: (depth, role in its child, artifact)."""
        seen = set()
        stack = [(0, "", artifact)]
        while stack:
            depth, role, node = stack.pop()
            yield depth, role, node
            if node.digest in seen:
                continue
            seen.add(node.digest)
            for parent_role, digest in reversed(node.manifest.parents.items()):
                stack.append((depth + 1, parent_role, self.get(digest)))

    def descendants(self, artifact: Artifact) -> list[Artifact]:
        """Everything that was made from an artifact, directly or not, oldest first."""
        everything = self.artifacts()
        found: set[str] = set()
        newest = {artifact.digest}
        while newest:  # by generations: a clock that was set back must not hide a child
            newest = {
                a.digest for a in everything if newest & set(a.manifest.parents.values())
            } - found
            found |= newest
        return [a for a in everything if a.digest in found]

    def entries(self) -> list[Entry]:
        """The log, oldest first, with every signature checked.

        Raises:
            ArtifactError: it is not what was written or not the pinned house's, or this is a house
                of an earlier version.
        """
        self.refuse_old()
        return self.log.entries()

    def keyring(self) -> Keyring:
        """The house's public keys, from its log.

        Raises:
            ArtifactError: see `entries`.
        """
        self.refuse_old()
        return self.log.read().ring

    def refuse_unfounded(self) -> None:
        """Let nothing be made where there are no keys: they are made before all else, or never.

        Raises:
            ArtifactError: there are none yet.
        """
        if not self.keyring():
            raise ArtifactError(
                f"{self.home} has no keys yet - make them, once, with `bedside registry init`"
            )

    def identifiers_key(self) -> Path:
        """The file of the key by which patients and documents are named; made the first time.

        Raises:
            ArtifactError: it is gone although corpora were made with it, or is none; or the
                registry has no keys yet.
        """
        self.refuse_unfounded()
        path = self.home / "keys" / identifiers.FILE
        if not path.exists():
            used = [
                f"{a.kind} {a.digest[:12]} was made with it"
                for a in self.scan()[0]
                if a.manifest.facts.get(IDENTIFIERS)
            ]
            if self.withdrawals().erased:
                used.append("the log's withdrawals were named by it")
            if used:
                raise ArtifactError(
                    f"{path} is missing, and {used[0]} - restore it from a backup; another key "
                    "would not recognise the patients"
                )
            identifiers.make_key(path)
        Identifiers.read(path)
        return path

    def refuse_old(self) -> None:
        """Raises: ArtifactError, this is a house of an earlier version."""
        for path in (self.home / "promotions.jsonl", self.home / "keys" / "signing.pub"):
            if path.exists():
                raise ArtifactError(
                    f"{path} is of Bedside 0.1 - run `bedside registry adopt` once, with the "
                    "evidence and the operator's key at hand; it keeps every promotion and key"
                )

    def withdrawals(self) -> Withdrawals:
        """What may not be used any more.

        Raises:
            ArtifactError: the log is not what was written.
        """
        return Withdrawals(self.entries(), self.store)

    def refuse_withdrawn(self, kind: str, digest: str) -> None:
        """Let nothing be made from, promoted or served that was withdrawn, here or deleted since.

        Raises:
            PolicyError: the artifact, or something that it was made from, was withdrawn.
            ArtifactError: the log or a manifest is not what was written.
        """
        found = self.withdrawals().of(digest)
        if found is not None:
            raise PolicyError(
                f"{kind} {digest[:12]} may not be used: {found} - `bedside registry log` has all "
                "that was withdrawn"
            )

    def erased(self) -> list[Withdrawal]:
        """The withdrawals of documents and patients, oldest first.

        Raises:
            ArtifactError: the log is not what was written, or they were named by a key that is not
                here, so that nobody could recognise them.
        """
        found = self.withdrawals().erased
        if found:
            key = Identifiers.read(self.identifiers_key())
            if any(one.key != key.key_id for one in found):
                raise ArtifactError(
                    f"{self.home / 'keys' / identifiers.FILE} is not the key that withdrawn "
                    "documents and patients were named by - restore that one from a backup"
                )
        return found

    def refuse_erased(self, kind: str, digest: str) -> None:
        """Let nothing be made from, or promoted of, what holds a withdrawn document or patient.

        Raises:
            PolicyError: the artifact, or something that it was made from, does.
            ArtifactError: the log or a manifest is not what was written.
        """
        found = self.withdrawals().holding(digest)
        if found is not None:
            raise PolicyError(
                f"{kind} {digest[:12]} was made with something that may not be used: {found} - "
                "build the corpus again (`bedside corpus build`) and train on the new one"
            )

    def refuse_withdrawn_sources(self, names: Iterable[str]) -> None:
        """Let no new corpus be made of a source that was withdrawn.

        Raises:
            PolicyError: names each source, with who withdrew it and why.
            ArtifactError: the log is not what was written.
        """
        withdrawals = self.withdrawals()
        found = [str(said) for said in map(withdrawals.source, names) if said is not None]
        if found:
            raise PolicyError(
                "\n".join(f"{line} - take it out of corpus.sources" for line in found)
            )

    def promotions(self) -> list[Promotion]:
        """Every promotion and rollback, oldest first.

        Raises:
            ArtifactError: the log is not what was written.
        """
        return promotions_of(self.entries())

    def ledger(self) -> Ledger:
        """What was approved, planned and looked at.

        Raises:
            ArtifactError: the log is not what was written.
        """
        return Ledger(self.entries())

    def approve(self, policy: Policy, reason: str) -> Approval:
        """Let plans be made by a policy from now on; once approved, it stays so.

        Raises:
            PolicyError: it was withdrawn.
        """
        with self.log.writing() as log:
            self.refuse_withdrawn(POLICY, policy.sha256)
            known = Ledger(log.entries).approvals.get(policy.sha256)
            if known is not None:
                return known
            about = {"sha256": policy.sha256, "name": policy.name, "scope": policy.scope}
            content = policy.model_dump(mode="json")
            why = {"reason": reason, "by": account()}
            return Approval.read(log.add("approve-policy", {**about, "policy": content, **why}))

    def plan(self, plan: Plan) -> Planned:
        """Fix what a run may look at, before anything is seen; the same plan again is one.

        Raises:
            PolicyError: see `planning.check_plan`.
        """
        with self.log.writing() as log:
            ledger = Ledger(log.entries)
            newest = ledger.newest(plan.run)
            # What can be detected follows from the rest, to the last digit only with one library.
            if newest and ledger.approval(newest):
                detectable = {"detectable": newest.plan.detectable}
                if newest.plan == plan.model_copy(update=detectable):
                    return newest
            planning.check_plan(ledger, plan)
            members = {**plan.model_dump(mode="json"), "by": account()}
            return Planned.read(log.add("plan", members))

    def look(self, look: Look) -> Looked:
        """Say that sealed texts are about to be opened; one that goes on is the same look.

        Args:
            look: its number is set here.

        Raises:
            PolicyError: see `planning.check_look`; or a model was withdrawn, or what is promoted
                is not the incumbent any more.
        """
        with self.log.writing() as log:
            ledger = Ledger(log.entries)
            planning.check_standing(ledger, look)
            for role in ("candidate", "base", "incumbent", "reference"):
                if (digest := getattr(look, role)) is not None:
                    self.refuse_withdrawn(role, digest)
                    if role in ("candidate", "base"):
                        self.refuse_erased(role, digest)
            self._check_incumbent(log.entries, look.candidate, look.incumbent)
            known = ledger.same(look)
            if known is not None:
                return known
            number = len(ledger.looks_of(look.plan)) + 1
            look = look.model_copy(update={"number": number})
            planning.check_look(ledger, look)
            return Looked.read(log.add("look", {**look.model_dump(mode="json"), "by": account()}))

    def incumbent(self, candidate: str) -> str | None:
        """The digest of the model that a candidate would replace, if it may still be used."""
        return self._incumbent(self.entries(), candidate)

    def _incumbent(self, entries: list[Entry], candidate: str) -> str | None:
        past = promotions_of(entries)
        now = past[-1].model if past else candidate
        gone = Withdrawals(entries, self.store).of(now) or not (self.store / now).is_dir()
        return None if now == candidate or gone else now

    def _check_incumbent(self, entries: list[Entry], candidate: str, compared: str | None) -> None:
        now = self._incumbent(entries, candidate)
        # Better than one that was withdrawn since is no worse than better than none.
        promoted = [past.model for past in promotions_of(entries)[-1:]]
        if compared not in (now, *promoted):
            raise PolicyError(
                f"the incumbent changed: {_named(now)} is promoted, the comparison was with "
                f"{_named(compared)} - evaluate again"
            )

    def current(self) -> Promotion | None:
        """What is promoted now; `check_promotable` says whether it may still be served."""
        log = self.promotions()
        return log[-1] if log else None

    def promote(
        self, evidence: Artifact, *, reason: str | None = None, again: str | None = None
    ) -> Promotion:
        """Promote the model that an evidence artifact is about.

        Args:
            evidence: with the verdict.
            reason: why; by default, that the verdict says so.
            again: why, if a rollback has left this model; stays in the log.

        Raises:
            PolicyError: see `check_promotable`; or the evidence is too old, was compared with
                another incumbent or base, or the approval of its policy was taken back; or the
                model was rolled back since its look, and `again` is not said.
            ArtifactError: evidence or weights do not match their manifests or the signature.
        """
        model = self.check_promotable(evidence)
        with self.log.writing() as log:
            past = promotions_of(log.entries)
            if past and (past[-1].model, past[-1].evidence) == (model.digest, evidence.digest):
                return past[-1]
            for item in (evidence, model):  # nobody can withdraw them any more now
                self.refuse_withdrawn(item.kind, item.digest)
                self.refuse_erased(item.kind, item.digest)
            head = read_evidence(evidence, self.keyring())
            found = promotable.basis(log.entries, head)
            promotable.check_standing(log.entries, found)
            promotable.check_age(log.entries, found, evidence)
            bases = self._bases(model)
            promotable.check_learned(model, map(self.get, bases))
            promotable.check_base(model, bases, head)
            self._check_incumbent(log.entries, head.candidate, head.incumbent)
            left = history(past).left.get(model.digest)
            if left is not None and left.seq > found.looked.seq and again is None:
                raise PolicyError(
                    f"model {model.digest[:12]} was rolled back on {left.time:%Y-%m-%d %H:%M} UTC "
                    f"by {left.by} and is not promoted again by itself - if it shall be: `bedside "
                    f'registry promote {evidence.digest[:12]} --again "WHY"`'
                )
            why = {"reason": reason or f"verdict PROMOTE of evidence {evidence.digest[:12]}"}
            why |= {"again": again} if left is not None and again else {}
            return self._decide(log, "promote", model.digest, evidence, **why)

    def check_promotable(self, evidence: Artifact) -> Artifact:
        """The model that signed evidence allows to serve, with its own hashes checked.

        Raises:
            PolicyError: the verdict is not PROMOTE, no approved policy, plan and look came before
                it, or model or evidence was withdrawn.
            ArtifactError: evidence or weights do not match their manifests or the signature.
        """
        self.refuse_withdrawn(evidence.kind, evidence.digest)
        head = read_evidence(evidence, self.keyring())
        if head.verdict != "PROMOTE":
            raise PolicyError(
                f"the verdict on {head.candidate[:12]} is {head.verdict}: {' '.join(head.reasons)}"
            )
        promotable.basis(self.entries(), head)
        model = self.get(head.candidate)
        if model.digest != head.candidate:
            raise ArtifactError(
                f"evidence {evidence.digest[:12]} does not name one model by its whole digest - "
                "run the evaluation again"
            )
        self.refuse_withdrawn(model.kind, model.digest)
        model.verify()
        return model

    def rollback(self, reason: str) -> Promotion:
        """Go back to the model that was promoted before, and may still be served.

        Args:
            reason: why; stays in the log.

        Raises:
            PolicyError: there is none.
        """
        self._earlier(self.entries())  # an empty registry stays as empty as it is
        with self.log.writing() as log:
            previous = self._earlier(log.entries)
            evidence = self.get(previous.evidence)
            self.check_promotable(evidence)
            return self._decide(log, "rollback", previous.model, evidence, reason=reason)

    def _earlier(self, entries: list[Entry]) -> Promotion:
        withdrawn = Withdrawals(entries, self.store)
        for past in reversed(history(promotions_of(entries)).standing[:-1]):
            named = (past.model, past.evidence)
            if all((self.store / d).is_dir() and withdrawn.of(d) is None for d in named):
                return past
        raise PolicyError(
            "nothing was promoted before the current model that may still be served - cannot roll "
            "back; promote another one, or stop it with `bedside inference models stop`"
        )

    def _decide(
        self, log: Writing, action: str, model: str, evidence: Artifact, **why: str
    ) -> Promotion:
        head = read_evidence(evidence, self.keyring())
        scope = promotable.basis(log.entries, head).policy.scope
        members = {"model": model, "evidence": evidence.digest, **why, "by": account()}
        return Promotion.read(
            log.add(action, members | ({"scope": scope} if scope == "demo" else {}))
        )

    def _bases(self, model: Artifact) -> list[str]:
        """Digests of the model that it was made from, of that one's base, and so on."""
        found: list[str] = []
        while (digest := model.manifest.parents.get("base")) is not None:
            found.append(digest)
            model = self.get(digest)
        return found


def _named(model: str | None) -> str:
    return "no other model" if model is None else f"model {model[:12]}"


def account() -> str:
    """The account of this machine that acts: its name, or its number where it has none."""
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _path_in(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).absolute() if value else None
