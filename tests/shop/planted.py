"""People with unmistakable values in every event, their deletion, and a search for what is left."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.events import Kind
from tests.shop.offline import OfflineShop, at

PLANTED = "PLANTED"
ANN, BOB, COLD = 1, 2, 3
DELETION = UUID(int=99)


def attributes(mark: str) -> dict[str, Any]:
    return {
        "customerId": f"{mark}-key",
        "emailAddress": f"{mark}-mail",
        "firstName": f"{mark}-name",
        "hobbies": [f"{mark}-hobby"],
        "birthDate": date(1999, 9, 9),
        "city": "Ghent",
    }


def campaign(shop: OfflineShop, number: int, hour: float) -> None:
    shop.tell(Kind.CAMPAIGN, "CREATED", at(hour), campaignId=number)


def live(shop: OfflineShop, profile: int, mark: str, hour: float, campaign_id: int = 22) -> None:
    """Let a profile live for a moment: an event of every kind, with marked values."""
    own = {"profileId": profile}
    number = profile * 1000 + int(hour * 10)
    contact = {**own, "interactionId": number, "campaignId": campaign_id}
    mail = {**contact, "emailAddress": f"{mark}-sent-to"}
    shop.tell(Kind.PROFILE, "CREATED", at(hour), **own, attributes=attributes(mark))
    shop.tell(Kind.PROFILE, "UPDATED", at(hour + 0.1), **own, attributes=attributes(mark))
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(hour), **own)
    shop.tell(Kind.SEGMENT_TRANSITION, "CHANGED", at(hour), **own)
    shop.tell(Kind.MARKETING_CONSENT, "CHANGED", at(hour), **own)
    for event_type in ("SENT", "OPENED", "CLICKED"):
        shop.tell(Kind.EMAIL_ACTIVITY, event_type, at(hour + 0.2), **mail)
    for event_type in ("SENT", "CLICKED"):
        shop.tell(Kind.SMS_ACTIVITY, event_type, at(hour), **contact, gsmNumber=f"{mark}-phone")
    shop.tell(Kind.FILE_ACTIVITY, "GENERATED", at(hour), **contact)
    city = {"city": "Bruges"}
    shop.tell(Kind.ROW, "CREATED", at(hour), table="stores", id=number, attributes=city)
    shop.tell(Kind.ROW, "DELETED", at(hour), table="stores", id=number + 1)
    row = {"number": f"{mark}-card", "nameOnCard": f"{mark}-holder", "level": "gold"}
    shop.tell(Kind.ROW, "CREATED", at(hour), **own, id=number, attributes=row)
    shop.tell(Kind.ROW, "CREATED", at(hour), **own, id=number + 1, attributes=row)
    shop.tell(Kind.ROW, "DELETED", at(hour + 0.1), **own, id=number, businessKey=f"{mark}-card")
    shop.tell(Kind.ROW, "DELETED", at(hour + 0.1), id=number, businessKey=f"{mark}-card")


def delete(shop: OfflineShop, profile: int, hour: float, **telling: Any) -> int:
    key = {"businessKey": f"{PLANTED}-key"}
    return shop.tell(Kind.PROFILE, "DELETED", at(hour), profileId=profile, **key, **telling)


def texts(column: pa.Array | pa.ChunkedArray) -> Iterator[str]:
    yield from (str(value) for value in column.to_pylist() if value is not None)


def finds(root: Path, mark: str = PLANTED) -> set[str]:
    """Every file that holds a mark, as it stands or when it is decoded."""
    found = set()
    for file in (one for one in root.rglob("*") if one.is_file()):
        content = file.read_bytes()
        name = str(file.relative_to(root))
        if file.suffix == ".gz":
            content = gzip.decompress(content)
        if file.suffix == ".parquet":
            table = pq.read_table(file, partitioning=None)
            content += "\n".join(text for c in table.columns for text in texts(c)).encode()
        if mark.encode() in content:
            found.add(name)
    return found


def told(shop: OfflineShop) -> None:
    """The story: Ann lives, is deleted and lives again; Bob goes for good; of Cold's campaign
    nothing is known yet. Two windows are closed before the deletions are recorded.
    """
    campaign(shop, 22, 1)
    live(shop, ANN, PLANTED, 2)
    live(shop, BOB, PLANTED, 3, campaign_id=77)
    live(shop, COLD, "COLD", 3.5)
    shop.store_all()
    shop.close_all(at(6))
    shop.tell(
        Kind.EMAIL_ACTIVITY,
        "CLICKED",
        at(7),
        profileId=ANN,
        interactionId=5,
        emailAddress=f"{PLANTED}-click",
    )
    shop.store_all()
    shop.close_all(at(6, 28))


def deleted(shop: OfflineShop) -> None:
    """Ann and Bob are deleted; Ann lives again; a late event and a repeat come after it all."""
    delete(shop, ANN, 31, event_id=DELETION)
    delete(shop, BOB, 31)
    live(shop, ANN, "ALIVE", 32)
    late = {"profileId": ANN, "interactionId": 6, "emailAddress": f"{PLANTED}-late"}
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(33), at(30), **late)
    delete(shop, ANN, 34, occurred=at(31), event_id=DELETION)
    shop.store_all()


def state(root: Path) -> dict[str, object]:
    """All that an installation keeps, by file: without the clock's part, and where it lies."""
    kept = {}
    for file in sorted(one for one in root.rglob("*") if one.is_file()):
        name = str(file.relative_to(root))
        content: object = file.read_bytes()
        if file.suffix == ".parquet":
            content = pq.read_table(file, partitioning=None).to_pylist()
        elif file.name.endswith("outcome.json") or "at." in file.name:
            told = json.loads(file.read_bytes())
            of_clock = ("finished_at", "receipts", "checksum")
            content = {k: v for k, v in told.items() if k not in of_clock}
        kept[name] = content
    return kept
