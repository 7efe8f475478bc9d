"""An erase pass over an installation without servers, as a process that can be killed:
`python -m tests.shop.erasing FOLDER`.
"""

import sys
from pathlib import Path

from tests.shop.offline import OfflineShop

if __name__ == "__main__":
    OfflineShop(Path(sys.argv[1])).sinks.eraser.run()  # without its log, which a pass doesn't read
