"""Write a realistic day of events as JSON Lines: `python -m deploy.demo.generate --seed 7 --events
200000 > day.jsonl`.
"""

import argparse
import json
import sys
from datetime import UTC, date, datetime

from deploy.demo.generator import day_of_events


def main() -> None:
    """Write the events to the standard output."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.generate", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=7, help="the same seed, size and day give the same events"
    )
    parser.add_argument(
        "--events", type=int, default=200_000, help="how many events (default: %(default)s)"
    )
    parser.add_argument(
        "--day",
        type=date.fromisoformat,
        default=datetime.now(UTC).date(),
        help="the day on which they occur, as yyyy-mm-dd, UTC (default: today)",
    )
    arguments = parser.parse_args()
    encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
    try:
        for event in day_of_events(arguments.seed, arguments.events, arguments.day):
            sys.stdout.write(encode(event) + "\n")
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    main()
