"""The ledger of closes: intents, outcomes, holds, releases, receipts, and leases."""
