"""Support for authors of exports: questions, summary, preview, reference and JSON Schemas."""
