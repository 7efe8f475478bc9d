"""Closes that run by themselves, and their observation: scheduler, retries, metrics, health."""
