"""Finish what killed runs left half done, and erase the data of deleted people."""

from __future__ import annotations

from sinks.erasure.eraser import ErasureReport
from sinks.repair.sweep import Swept
from sinks.service.reporting import reporting_revisions
from sinks.setup import Sinks

__all__ = ["erase_deleted_people", "sweep_half_steps"]


def sweep_half_steps(sinks: Sinks, *, all_records: bool = False) -> Swept:
    """Finish what was begun, remove leftovers, and report revisions; safe to run at any time.

    all_records: whether every record is read, and its checksum checked.
    """
    with reporting_revisions(sinks):
        return sinks.sweeper.sweep(all_records=all_records)


def erase_deleted_people(sinks: Sinks) -> ErasureReport:
    """Erase the personal data of profiles whose deletion was recorded, and report revisions.

    Raises DeltadropError if the pass could not continue; it is safe to run it again.
    """
    with reporting_revisions(sinks):
        return sinks.eraser.run()
