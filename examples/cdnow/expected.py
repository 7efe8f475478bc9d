"""What pandas makes of the source file: the drops of every month, without any of deltadrop."""

from pathlib import Path

import pandas as pd

COLUMNS = ("profileId", "customerId", "purchases", "cds", "spent", "firstPurchase", "lastPurchase")


class ComparisonError(Exception):
    """The drops aren't what pandas makes of the source."""


def expected_drops(source: Path) -> dict[str, dict[str, pd.DataFrame]]:
    """By month, then by export, the drop's lines: all columns as text, in order of profileId."""
    purchases = _read(source)
    is_first = ~purchases.duplicated("profileId")
    drops = {}
    for month in purchases["month"].drop_duplicates():
        ended = purchases[purchases["month"] <= month]
        totals = _totals(ended)
        in_month = ended[ended["month"] == month]
        created = in_month[is_first[in_month.index]]["profileId"]
        updated = in_month[~is_first[in_month.index]]["profileId"]
        drops[str(month)] = {
            "customers-created": _lines(totals, created),
            "customers-updated": _lines(totals, updated),
        }
    return drops


def read_drop(file: Path) -> pd.DataFrame:
    """Read a drop as text: nothing is converted, so that nothing can be lost in converting."""
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def refuse_difference(what: str, made: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Raise ComparisonError unless a drop is, line for line and text for text, what is expected."""
    if list(made.columns) != list(expected.columns) or len(made) != len(expected):
        raise ComparisonError(
            f"{what}: {len(made)} lines of {', '.join(made.columns)}; "
            f"pandas makes {len(expected)} of {', '.join(expected.columns)}"
        )
    differs = (made != expected).any(axis=1)
    if differs.any():
        line = int(differs.to_numpy().argmax())
        ours, theirs = (",".join(lines.iloc[line]) for lines in (made, expected))
        raise ComparisonError(f"{what}: line {line + 1} is {ours}; pandas makes {theirs}")


def summary(drops: list[dict[str, pd.DataFrame]]) -> dict[str, str]:
    """The sums that both sides must agree on, from the drops of all months in order."""
    created = pd.concat([month["customers-created"] for month in drops])
    everything = pd.concat([lines for month in drops for lines in month.values()])
    latest = everything.astype({"purchases": int, "cds": int})
    latest = latest.sort_values("purchases", kind="stable").drop_duplicates(
        "profileId", keep="last"
    )
    cents = latest["spent"].str.replace(".", "", regex=False).astype("int64").sum()
    return {
        "lines in all drops": f"{len(everything):,}",
        "customers": f"{created['profileId'].nunique():,}",
        "purchases": f"{latest['purchases'].sum():,}",
        "CDs": f"{latest['cds'].sum():,}",
        "dollars": f"{cents // 100:,}.{cents % 100:02}",
    }


def _read(source: Path) -> pd.DataFrame:
    names = ["profileId", "day", "cds", "dollars"]
    purchases = pd.read_csv(source, sep=r"\s+", skiprows=1, header=None, names=names, dtype=str)
    purchases = purchases.assign(
        profileId=purchases["profileId"].astype(int),
        customerId=purchases["profileId"],
        cds=purchases["cds"].astype(int),
        cents=purchases["dollars"].str.replace(".", "", regex=False).astype(int),
        day=pd.to_datetime(purchases["day"], format="%Y%m%d"),
    )
    purchases["month"] = purchases["day"].dt.strftime("%Y-%m")
    return purchases.sort_values("day", kind="stable", ignore_index=True)


def _totals(purchases: pd.DataFrame) -> pd.DataFrame:
    grouped = purchases.groupby("profileId")
    cents = grouped["cents"].sum()
    totals = pd.DataFrame(
        {
            "customerId": grouped["customerId"].first(),
            "purchases": grouped.size().astype(str),
            "cds": grouped["cds"].sum().astype(str),
            "spent": (cents // 100).astype(str) + "." + (cents % 100).astype(str).str.zfill(2),
            "firstPurchase": grouped["day"].min().dt.strftime("%Y-%m-%d"),
            "lastPurchase": grouped["day"].max().dt.strftime("%Y-%m-%d"),
        }
    )
    return totals.reset_index()


def _lines(totals: pd.DataFrame, customers: pd.Series) -> pd.DataFrame:
    chosen = totals[totals["profileId"].isin(customers)].sort_values("profileId")
    return chosen.astype({"profileId": str})[list(COLUMNS)].reset_index(drop=True)
