"""For those who write exports: questions, summary, preview, reference and JSON Schemas."""
