"""Drops as their receivers get them: the manifest beside the file, and the check of both."""
