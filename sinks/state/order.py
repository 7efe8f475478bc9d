"""The order in which records of one id were appended, over all partitions of its topic (SPEC §3,
*Rows*; DESIGN, cuts).

Within a partition it is the order of offsets. Across partitions it is the order of append times; an
id changes its partition when the topic gets more of them. If a broker's clock was set back, a
record counts at the latest append time so far in its partition, so it never comes before its
predecessor.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

__all__ = ["POSITION", "at_latest", "in_append_order", "last_of_each"]

POSITION = ("_partition", "_offset")
"""Columns that identify a record within its topic."""


def at_latest(records: ir.Table, key: str) -> ir.Table:
    """Add to each record the latest append time so far of its id (column `key`) in its partition:
    column `_latest`.
    """
    so_far = ibis.cumulative_window(group_by=[key, "_partition"], order_by="_offset")
    return records.mutate(_latest=records["_appended_at"].max().over(so_far))


def in_append_order(records: ir.Table, key: str) -> ir.Table:
    """Number the records of each id (column `key`) in append order: column `_seq`, from 0."""
    timed = at_latest(records, key)
    order = [timed["_latest"], timed["_partition"], timed["_offset"]]
    return timed.mutate(_seq=ibis.row_number().over(group_by=key, order_by=order)).drop("_latest")


def last_of_each(records: ir.Table, key: str) -> ir.Table:
    """Return the record of each id that was appended last."""
    numbered = in_append_order(records, key)
    last = numbered["_seq"].max().over(group_by=key)
    return numbered.filter(numbered["_seq"] == last).drop("_seq")
