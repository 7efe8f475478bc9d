"""After a close: releases, drops made again, half steps finished, and retention."""
