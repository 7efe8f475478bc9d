"""What was decided and what came of it: intents, outcomes, holds, releases, receipts and leases."""
