"""Settings of observation: where metrics and health are served or written (docs/observing.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.settings.reports import Section

__all__ = ["ObserveSettings"]

Port = Annotated[int, Field(gt=0, lt=65536)]


class ObserveSettings(Section):
    """Ports and a file for metrics and health; each is off without a value.

    Several processes of one machine need a port each: DELTADROP_OBSERVE__WORKER_PORT.
    """

    host: str = Field(
        default="127.0.0.1", description="address to listen at; 0.0.0.0 for other machines"
    )
    worker_port: Port | None = None
    schedule_port: Port | None = None
    textfile: Path | None = Field(
        default=None,
        description="where `close` writes its metrics: in the folder of node_exporter's textfile"
        " collector, which reads what ends in .prom",
    )

    @model_validator(mode="after")
    def _the_collector_reads_it(self) -> Self:
        if self.textfile is not None and self.textfile.suffix != ".prom":
            raise ValueError("textfile must end in .prom: node_exporter reads no other files")
        return self
