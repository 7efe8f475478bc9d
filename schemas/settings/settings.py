"""deltadrop's settings: one YAML file, overridden by environment variables.

The first of these that has a value wins: `KAFKA_BOOTSTRAP_SERVERS` and `SCHEMA_REGISTRY_URL`;
`DELTADROP_<SECTION>__<FIELD>` (as `DELTADROP_CLOSE__WAIT_SECONDS`); the file; the defaults.
Relative paths are relative to the file's folder.
"""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from schemas.definitions.definitions import (
    Document,
    Faults,
    Location,
    explain,
    location_of,
    read_document,
)
from schemas.definitions.patterns import FOLDER_PATTERN, worded
from schemas.errors import DefinitionError, Fault
from schemas.private_files import make_folders, readable_by_all
from schemas.settings.kafka import KafkaSecurity, KafkaSettings
from schemas.settings.observe import ObserveSettings
from schemas.settings.receivers import ReadyFile
from schemas.settings.registry import RegistrySettings
from schemas.settings.reports import MailSettings, Section, WebhookSettings
from schemas.settings.withheld import quote_of_settings, quoted

__all__ = [
    "FOLDERS",
    "CloseSettings",
    "KafkaSecurity",
    "KafkaSettings",
    "MailSettings",
    "ObserveSettings",
    "RegistrySettings",
    "ScheduleSettings",
    "Settings",
    "TransferboxSettings",
    "WebhookSettings",
    "WorkerSettings",
    "load_settings",
]

DEFAULT_FILE = Path("deltadrop.yaml")
_ENVIRONMENT = "DELTADROP_"
_PLAIN_VARIABLES = {
    "KAFKA_BOOTSTRAP_SERVERS": ("kafka", "bootstrap_servers"),
    "SCHEMA_REGISTRY_URL": ("registry", "url"),
}
_MEMORY = worded(r"(?i)^\d+(\.\d+)? *[kmgt]i?b$", "write it as 800MB or 1.5GB")
"""In DuckDB's notation: `800MB`, `1.5 GiB`."""
_MODE = worded(r"^0[67][0-7]{2}$", 'write it in quotes, as "0644" or "0750"')
_SECRETS = (
    ("kafka", "security", "password"),
    ("registry", "password"),
    ("mail", "password"),
    ("webhook", "secret"),
)
FOLDERS: Final = (
    "bases",
    "coverage",
    "erasure",
    "leases",
    "ledger",
    "reports",
    "scratch",
    "set-aside",
    "streams",
    "taken-out",
)
"""Folders that are made in the root. Beside them is the transferbox, which others may look into."""
_MIB = 1024 * 1024

Mode = Annotated[str, StringConstraints(pattern=_MODE)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]
LocationName = Annotated[str, StringConstraints(pattern=FOLDER_PATTERN, max_length=80)]


class WorkerSettings(Section):
    """How workers make batches of the events that they read."""

    group: Annotated[str, StringConstraints(min_length=1)] = "deltadrop"
    batch_bytes: Positive = 64 * _MIB
    batch_seconds: Annotated[float, Field(gt=0)] = 60
    max_bytes_in_flight: Positive = 96 * _MIB
    session_timeout_seconds: Annotated[float, Field(gt=0)] = 30


class CloseSettings(Section):
    """How windows are closed."""

    delay_seconds: Seconds = Field(
        default=30, description="after the instant, before the cut is taken"
    )
    wait_seconds: Seconds = Field(default=900, description="for the workers to pass the cut")
    memory_limit: Annotated[str, StringConstraints(pattern=_MEMORY)] = "1GB"
    firsts_days: Positive = 400
    repeat_hours: Positive = 48


class TransferboxSettings(Section):
    """The transferbox, and the files that a receiver gets there beside the drop, as at other
    locations.
    """

    retention_days: Positive | None = Field(
        default=None, description="after its delivery a drop is removed; none keeps it for ever"
    )
    manifests: bool = True
    checksum_file: bool = False
    ready_file: ReadyFile | None = None
    file_mode: Mode | None = Field(
        default=None,
        description="permissions of its files; none: 0644, and what the umask adds",
    )
    folder_mode: Mode | None = Field(
        default=None,
        description="permissions of its new folders; none: 0755, and what the umask adds",
    )

    @property
    def may_be_entered(self) -> bool:
        """Whether every user of the machine may look into it."""
        return self.folder_mode is None or bool(int(self.folder_mode, 8) & stat.S_IXOTH)


class ScheduleSettings(Section):
    """How `deltadrop schedule` shares the work, and when it tries again."""

    lease_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=60, description="without a sign of life, before another scheduler takes over"
    )
    retry_seconds: Annotated[float, Field(gt=0)] = Field(
        default=10, description="before a close is tried again; doubled each time"
    )
    retry_limit_seconds: Annotated[float, Field(gt=0)] = Field(default=900, description="at most")


class Settings(BaseSettings):
    """All settings; `load_settings` reads them."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=_ENVIRONMENT,
        env_nested_delimiter="__",
        env_ignore_empty=True,
    )

    root: Path = Path("var")
    tables: Path = Path("tables")
    streams: Path = Path("streams.d")
    exports: Path = Path("exports")
    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    worker: WorkerSettings = WorkerSettings()
    close: CloseSettings = CloseSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    mail: MailSettings = MailSettings()
    webhook: WebhookSettings = WebhookSettings()
    observe: ObserveSettings = ObserveSettings()
    transferbox: TransferboxSettings = TransferboxSettings()
    locations: dict[LocationName, dict[str, object]] = Field(
        default={}, description="by name; each kind of location reads its own (sinks.locations)"
    )
    _source: Document = PrivateAttr(default=Document(DEFAULT_FILE, {}, {}))

    def check_root(self) -> None:
        """Create the root's folder if it is missing; raises DefinitionError if that fails."""
        try:
            self._make_root()
        except OSError as error:
            where = _variable_of(("root",)) or self._source.where(("root",))
            what = f"field 'root': the folder {self.root} can't be made: {error.strerror}"
            hint = "name a folder on a disk of this machine that deltadrop may write to"
            raise DefinitionError([Fault(where, what, hint)]) from error

    def _make_root(self) -> None:
        if self.root.is_dir():
            return
        make_folders(self.root)
        if self.transferbox.may_be_entered:  # it is in the root, so others must get through
            self.root.chmod(stat.S_IMODE(self.root.stat().st_mode) | stat.S_IXOTH)

    @property
    def warning_of_root(self) -> str:
        """A warning of folders in the root that every user may look into; empty without any."""
        return readable_by_all([self.root / name for name in FOLDERS])

    @property
    def source(self) -> Document:
        """The file of these settings; an empty document if there was none."""
        return self._source

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment override the file, whose values come as arguments."""
        return _PlainVariables(settings_cls), env_settings, init_settings


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings; raises DefinitionError with every fault.

    path: the file; None: that of the variable DELTADROP_CONFIG, or else `deltadrop.yaml` in the
    current folder, which may be missing.
    """
    named = path or (
        Path(os.environ["DELTADROP_CONFIG"]) if os.environ.get("DELTADROP_CONFIG") else None
    )
    file = named or DEFAULT_FILE
    faults = Faults()
    _refuse_unknown_variables(faults)
    document = Document(file, {}, {})
    if named is not None or os.path.lexists(file):  # a broken link isn't a missing file
        document = read_document(file, faults, quoted) or document
        _refuse_secrets(document, faults)
    faults.raise_if_any()
    settings = _validated(document, faults)
    faults.raise_if_any()
    assert settings is not None
    settings._source = document
    return _anchored(settings, file.parent)


def _validated(document: Document, faults: Faults) -> Settings | None:
    try:
        return Settings(**dict(document.data))  # type: ignore[arg-type]
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            location = location_of(detail)
            variable = _variable_of(location)
            source = None if variable else document.sources.get(location)
            what, hint = explain(detail, Settings, source, quote=quote_of_settings(detail))
            faults.add(variable or document.where(location), what, hint)
    except SettingsError as error:
        faults.add("environment", str(error), f"write {_ENVIRONMENT}<SECTION>__<FIELD>=value")
    return None


class _PlainVariables(PydanticBaseSettingsSource):
    """The two variables that Kafka's other tools use too."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for variable, (section, name) in _PLAIN_VARIABLES.items():
            if value := os.environ.get(variable):
                found[section] = {name: value}
        return found


def _variable_of(location: Location) -> str | None:
    """Return the environment variable that gave the value at `location`; None if none did."""
    plain = next((name for name, place in _PLAIN_VARIABLES.items() if place == location), None)
    for variable in (
        plain,
        _ENVIRONMENT + "__".join(str(part) for part in location).upper(),
    ):
        if variable is not None and os.environ.get(variable):
            return f"environment variable {variable}"
    return None


def _refuse_unknown_variables(faults: Faults) -> None:
    """Refuse unknown variables: a mistyped one would be ignored without a message."""
    valid = sorted(_variables(Settings, _ENVIRONMENT))
    for variable in sorted(os.environ):
        if variable.startswith(_ENVIRONMENT) and "__" in variable and variable not in valid:
            nearest = difflib.get_close_matches(variable, valid, n=1, cutoff=0)[0]
            faults.add(
                f"environment variable {variable}",
                "there is no such setting",
                f"nearest match '{nearest}'",
            )


def _refuse_secrets(document: Document, faults: Faults) -> None:
    """Refuse secrets in the settings' file, which many people may read."""
    for location in _SECRETS:
        given: object = document.data
        for part in location:
            given = given.get(part) if isinstance(given, dict) else None
        if given is not None:
            variable = _ENVIRONMENT + "__".join(location).upper()
            what = f"field '{'.'.join(location)}': a secret doesn't belong in this file"
            hint = f"put it in the variable {variable}, or in a file that {location[-1]}_file names"
            faults.add(document.where(location), what, hint)


def _variables(model: type[BaseModel], prefix: str) -> set[str]:
    names: set[str] = set()
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names |= _variables(inner, f"{prefix}{name.upper()}__")
        names.add(f"{prefix}{name.upper()}")
    return names


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Return the settings with their paths relative to the file's folder."""
    places: dict[str, object] = {
        name: folder / getattr(settings, name) for name in ("root", "tables", "streams", "exports")
    }
    for section in ("kafka", "registry", "mail", "webhook", "observe"):
        places[section] = _section_anchored(getattr(settings, section), folder)
    return settings.model_copy(update=places)


def _section_anchored(section: BaseModel, folder: Path) -> BaseModel:
    own: dict[str, object] = {}
    for name in type(section).model_fields:
        match getattr(section, name):
            case Path() as path:
                own[name] = folder / path
            case BaseModel() as inner:
                own[name] = _section_anchored(inner, folder)
    return section.model_copy(update=own)
